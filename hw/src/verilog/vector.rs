//! Vectors: signals whose paths differ only in their indices become one packed Verilog vector.
//!
//! ```text
//! lanes$0 .. lanes$7, each Bits<8>        ->  [63:0] lanes        lanes$3    is  lanes[31:24]
//! rows$0$q$0 .. rows$1$q$3, each Bits<4>  ->  [31:0] rows_q       rows$1$q$0 is  rows_q[19:16]
//! ```
//!
//! Elements lie in the order of their indices, the first in the lowest bits. What does not fill a whole grid, or would share its
//! name with something else, keeps a name for each element: `lanes_0`.

use super::elaborate::AtomInfo;
use super::names::verilog_name;
use super::text::{number, range};
use num_bigint::BigUint;
use rust_hdl::prelude::AtomKind;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

/// Where the bits of a signal are: in the vector `name`, or alone if that is no wider than the signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub name: String,
    pub offset: usize,
    /// Width of the vector.
    pub total: usize,
}

impl Place {
    /// A signal that is its own.
    pub fn alone(name: String, width: usize) -> Self {
        Place {
            name,
            offset: 0,
            total: width,
        }
    }

    /// The text of `width` bits from `at`.
    pub fn part(&self, at: usize, width: usize) -> String {
        match width == self.total {
            true => self.name.clone(),
            false => format!("{}{}", self.name, range(self.offset + at, width)),
        }
    }
}

/// Indices of signals, with the signals' own numbers.
type Members = Vec<(Vec<usize>, usize)>;

/// Places signals that are given by path, width and a class; only signals of one class share a vector. Names in `taken` are left
/// to others.
pub fn places<C: Clone + Eq + Hash + Ord>(
    signals: &[(&str, usize, C)],
    taken: &HashSet<String>,
) -> Vec<Place> {
    let mut groups: BTreeMap<(String, usize, C), Members> = BTreeMap::new();
    for (at, (path, width, class)) in signals.iter().enumerate() {
        let (pattern, indices) = pattern(path);
        let group = groups.entry((pattern, *width, class.clone())).or_default();
        group.push((indices, at));
    }
    let mut names: HashMap<String, usize> = HashMap::new();
    for (pattern, ..) in groups.keys() {
        *names.entry(joined(pattern)).or_default() += 1;
    }
    let mut places: Vec<_> = signals
        .iter()
        .map(|(path, width, _)| Place::alone(verilog_name(path), *width))
        .collect();
    let alone: HashSet<String> = places.iter().map(|place| place.name.clone()).collect();
    for ((pattern, width, _), mut members) in groups {
        members.sort();
        let name = joined(&pattern);
        let indexed = !members[0].0.is_empty();
        let free = names[&name] == 1 && !taken.contains(&name) && !alone.contains(&name);
        if !indexed || !free || !is_grid(&members) {
            continue;
        }
        let total = width * members.len();
        for (number, (_, at)) in members.into_iter().enumerate() {
            places[at] = Place {
                name: name.clone(),
                offset: number * width,
                total,
            };
        }
    }
    places
}

/// The places of a block's ports, in the order of `ports`. They depend on nothing else, so that the block and its users agree.
pub fn port_places<'a>(ports: impl Iterator<Item = &'a AtomInfo>) -> Vec<Place> {
    let ports: Vec<_> = ports
        .map(|port| {
            (
                port.path.as_str(),
                port.ty.width,
                port.kind == AtomKind::InputParameter,
            )
        })
        .collect();
    places(&ports, &HashSet::new())
}

/// A path with holes for its indices, and the indices.
pub fn pattern(path: &str) -> (String, Vec<usize>) {
    let mut indices = vec![];
    let parts: Vec<_> = path
        .split('$')
        .map(|part| match part.parse() {
            Ok(index) => {
                indices.push(index);
                "#"
            }
            Err(_) => part,
        })
        .collect();
    (parts.join("$"), indices)
}

/// The name of a vector: its pattern without the holes.
fn joined(pattern: &str) -> String {
    let parts: Vec<_> = pattern.split('$').filter(|part| *part != "#").collect();
    verilog_name(&parts.join("$"))
}

/// Whether sorted indices are all those below some bounds.
fn is_grid(members: &Members) -> bool {
    let bounds = &members[members.len() - 1].0;
    let count: usize = bounds.iter().map(|last| last + 1).product();
    count == members.len()
        && members.iter().enumerate().all(|(number, (indices, _))| {
            let flat = indices
                .iter()
                .zip(bounds)
                .fold(0, |flat, (i, last)| flat * (last + 1) + i);
            flat == number
        })
}

/// A part of a value: bits of a vector, a number, any other text, or one of two pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Bits {
        place: Place,
        width: usize,
    },
    Number {
        value: BigUint,
        width: usize,
    },
    Text {
        text: String,
        width: usize,
    },
    Choice {
        test: String,
        then: Box<Piece>,
        otherwise: Box<Piece>,
    },
}

impl Piece {
    pub fn text(&self) -> String {
        match self {
            Piece::Bits { place, width } => place.part(0, *width),
            Piece::Number { value, width } => number(value, *width),
            Piece::Text { text, .. } => text.clone(),
            Piece::Choice {
                test,
                then,
                otherwise,
            } => format!("{test} ? {} : {}", then.text(), otherwise.text()),
        }
    }

    pub fn width(&self) -> usize {
        match self {
            Piece::Bits { width, .. } | Piece::Number { width, .. } | Piece::Text { width, .. } => *width,
            Piece::Choice { then, .. } => then.width(),
        }
    }

    /// Whether both have a bit in common.
    pub fn overlaps(&self, other: &Piece) -> bool {
        match (self, other) {
            (Piece::Bits { place, width }, Piece::Bits { place: b, width: w }) => {
                place.name == b.name && place.offset < b.offset + w && b.offset < place.offset + width
            }
            _ => false,
        }
    }

    /// This piece with `next` above it, if both are one: bits of one vector that follow each other, or numbers.
    pub fn with(&self, next: &Piece) -> Option<Piece> {
        let width = self.width() + next.width();
        match (self, next) {
            (Piece::Bits { place, width: low }, Piece::Bits { place: above, .. }) => {
                let follows = place.name == above.name && place.offset + low == above.offset;
                let place = place.clone();
                follows.then_some(Piece::Bits { place, width })
            }
            (Piece::Number { value, width: low }, Piece::Number { value: above, .. }) => {
                let value = value | (above << low);
                Some(Piece::Number { value, width })
            }
            (
                Piece::Choice {
                    test,
                    then,
                    otherwise,
                },
                Piece::Choice {
                    test: again,
                    then: more,
                    otherwise: others,
                },
            ) if test == again => Some(Piece::Choice {
                test: test.clone(),
                then: Box::new(then.with(more)?),
                otherwise: Box::new(otherwise.with(others)?),
            }),
            _ => None,
        }
    }
}

/// Pieces in rising order, with those of one vector that follow each other put together.
pub fn merged(pieces: &[Piece]) -> Vec<Piece> {
    let mut merged: Vec<Piece> = vec![];
    for piece in pieces {
        match merged.last().and_then(|last| last.with(piece)) {
            Some(both) => *merged.last_mut().expect("it has a last piece") = both,
            None => merged.push(piece.clone()),
        }
    }
    merged
}

/// What is connected to each port: its elements' pieces, the lowest first, put together.
pub fn by_port(elements: impl Iterator<Item = (Place, Piece)>) -> Vec<(String, Vec<Piece>)> {
    let mut ports: Vec<(String, Vec<(usize, Piece)>)> = vec![];
    for (place, piece) in elements {
        match ports.iter_mut().find(|(name, _)| *name == place.name) {
            Some((_, pieces)) => pieces.push((place.offset, piece)),
            None => ports.push((place.name, vec![(place.offset, piece)])),
        }
    }
    let join = |(name, mut pieces): (String, Vec<(usize, Piece)>)| {
        pieces.sort_by_key(|(offset, _)| *offset);
        let pieces: Vec<_> = pieces.into_iter().map(|(_, piece)| piece).collect();
        (name, merged(&pieces))
    };
    ports.into_iter().map(join).collect()
}

/// A port with its connection.
pub fn net(port: &str, pieces: &[Piece]) -> String {
    format!(".{port}({})", connection(pieces))
}

/// The text of merged pieces: a name, a replication or a concatenation.
fn connection(pieces: &[Piece]) -> String {
    let texts: Vec<_> = pieces.iter().rev().map(Piece::text).collect();
    match &texts[..] {
        [one] => one.clone(),
        [first, rest @ ..] if rest.iter().all(|text| text == first) => {
            format!("{{{}{{{first}}}}}", texts.len())
        }
        _ => format!("{{{}}}", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(paths: &[&str]) -> Vec<String> {
        let signals: Vec<_> = paths.iter().map(|path| (*path, 4, ())).collect();
        let places = places(&signals, &HashSet::new());
        places.iter().map(|place| place.part(0, 4)).collect()
    }

    #[test]
    fn a_grid_of_indices_is_one_vector() {
        assert_eq!(place(&["a$1", "b", "a$0"]), ["a[7:4]", "b", "a[3:0]"]);
        assert_eq!(
            place(&["r$0$q$0", "r$0$q$1", "r$1$q$0", "r$1$q$1"])[2],
            "r_q[11:8]"
        );
        assert_eq!(place(&["only$0"]), ["only"]);
    }

    #[test]
    fn what_is_no_grid_or_shares_a_name_keeps_its_names() {
        assert_eq!(place(&["a$0", "a$2"]), ["a_0", "a_2"]);
        assert_eq!(place(&["a$0$0", "a$1$1"]), ["a_0_0", "a_1_1"]);
        assert_eq!(place(&["a$0$b", "a$b$0"]), ["a_0_b", "a_b_0"]);
        assert_eq!(place(&["a$0", "a"]), ["a_0", "a"]);
    }

    #[test]
    fn connections_are_as_short_as_they_can_be() {
        let bits = |name: &str, offset, total| Piece::Bits {
            place: Place {
                name: name.into(),
                offset,
                total,
            },
            width: 4,
        };
        let text = |pieces: &[Piece]| connection(&merged(pieces));
        assert_eq!(text(&[bits("a", 0, 8), bits("a", 4, 8)]), "a");
        assert_eq!(text(&[bits("a", 4, 12), bits("a", 8, 12)]), "a[11:4]");
        assert_eq!(text(&[bits("a", 4, 8), bits("a", 0, 8)]), "{a[3:0], a[7:4]}");
        assert_eq!(text(&[bits("b", 0, 4), bits("b", 0, 4)]), "{2{b}}");
        let number = |value: u8| Piece::Number {
            value: value.into(),
            width: 4,
        };
        assert_eq!(text(&[number(2), number(1)]), "8'd18");
    }
}
