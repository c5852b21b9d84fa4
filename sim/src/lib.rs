//! moevit simulation.
