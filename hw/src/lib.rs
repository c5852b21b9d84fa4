//! moevit circuits.
