//! The weight stream's byte order: parameters and tiles exactly as the array unit consumes them.
//!
//! A tile of `R x C` weights is 8 stream words of `R / 8 * C` bytes. Byte `j * C + c` of word `w` goes to lane
//! `8 j + LANE_OF_WORD[w]`, column `c`: a load bus shifts a segment of four lanes, so that the first word ends in the
//! farthest lane.
//!
//! A tile of columns is preceded by its parameters, 8 bytes a channel: bias i32, mantissa u16, factor u16, little-endian,
//! padded to whole words.

use moevit_hw::config::{AccelConfig, LOAD_LANES, PARAMETER_BYTES};

/// Lane within a load bus that each of a tile's words reaches.
pub const LANE_OF_WORD: [usize; LOAD_LANES] = [3, 2, 1, 0, 7, 6, 5, 4];

/// Parameters of one output channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    pub bias: i32,
    pub mantissa: u16,
    pub factor: u16,
}

/// Integer weights `[outputs, inputs]` of one plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    pub inputs: usize,
    pub weights: Vec<i8>,
}

impl Plane {
    /// The outputs of a range.
    pub fn rows(&self, range: std::ops::Range<usize>) -> Self {
        let weights = self.weights[range.start * self.inputs..range.end * self.inputs].to_vec();
        Self {
            inputs: self.inputs,
            weights,
        }
    }

    /// Weight of an output and input; zero beyond the matrix.
    fn at(&self, output: usize, input: usize) -> i8 {
        if input >= self.inputs {
            return 0;
        }
        self.weights
            .get(output * self.inputs + input)
            .copied()
            .unwrap_or(0)
    }
}

/// Appends a block of parameters for the channels of one tile of columns; missing channels are zero.
pub fn push_parameters(config: &AccelConfig, channels: &[Parameter], stream: &mut Vec<u8>) {
    let end = stream.len() + config.parameter_words() * config.weight_word_bytes();
    for channel in channels.iter().take(config.columns) {
        stream.extend(channel.bias.to_le_bytes());
        stream.extend(channel.mantissa.to_le_bytes());
        stream.extend(channel.factor.to_le_bytes());
    }
    debug_assert!(stream.len() <= end && PARAMETER_BYTES == 8);
    stream.resize(end, 0);
}

/// Appends the tile of column tile `n` and lane tile `k`.
pub fn push_tile(config: &AccelConfig, plane: &Plane, n: usize, k: usize, stream: &mut Vec<u8>) {
    let (r, c) = (config.rows, config.columns);
    for lane in LANE_OF_WORD {
        for bus in 0..r / LOAD_LANES {
            let input = k * r + LOAD_LANES * bus + lane;
            stream.extend((0..c).map(|column| plane.at(n * c + column, input) as u8));
        }
    }
}

/// The stream of a matrix product: for each tile of columns its parameters, then its planes' tiles.
pub fn matrix_stream(config: &AccelConfig, parameters: &[Parameter], planes: &[&Plane]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (n, channels) in parameters.chunks(config.columns).enumerate() {
        push_parameters(config, channels, &mut stream);
        for plane in planes {
            for k in 0..plane.inputs.div_ceil(config.rows) {
                push_tile(config, plane, n, k, &mut stream);
            }
        }
    }
    stream
}

/// Residual words for a copy: rows of 16-bit values, padded to whole stream words.
pub fn residual_stream(config: &AccelConfig, values: &[i16]) -> Vec<u8> {
    let mut stream: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    stream.resize(stream.len().next_multiple_of(config.weight_word_bytes()), 0);
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str) -> AccelConfig {
        AccelConfig::named(name).unwrap()
    }

    /// Reads a tile back by the rule of the header.
    fn unpack(config: &AccelConfig, tile: &[u8]) -> Vec<i8> {
        let (r, c) = (config.rows, config.columns);
        let mut lanes = vec![0i8; r * c];
        for (w, word) in tile.chunks_exact(config.weight_word_bytes()).enumerate() {
            for (byte, &value) in word.iter().enumerate() {
                let lane = 8 * (byte / c) + [3, 2, 1, 0, 7, 6, 5, 4][w];
                lanes[lane * c + byte % c] = value as i8;
            }
        }
        lanes
    }

    #[test]
    fn tiles_unpack_to_the_matrix() {
        for name in ["nano", "zcu104"] {
            let config = config(name);
            let (r, c) = (config.rows, config.columns);
            let (inputs, outputs) = (2 * r - 3, c + 1);
            let weights: Vec<i8> = (0..inputs * outputs).map(|i| (i * 37 % 255) as i8).collect();
            let plane = Plane { inputs, weights };
            let mut compared = 0;
            for (n, k) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut stream = Vec::new();
                push_tile(&config, &plane, n, k, &mut stream);
                assert_eq!(stream.len(), r * c);
                for (i, value) in unpack(&config, &stream).into_iter().enumerate() {
                    let (input, output) = (k * r + i / c, n * c + i % c);
                    let inside = input < inputs && output < outputs;
                    let want = if inside {
                        plane.weights[output * inputs + input]
                    } else {
                        0
                    };
                    assert_eq!(value, want, "{name} {n} {k} {i}");
                    compared += 1;
                }
            }
            assert_eq!(compared, 4 * r * c);
        }
    }

    #[test]
    fn a_matrix_streams_parameters_then_planes() {
        let config = config("nano");
        let word = config.weight_word_bytes();
        let plane = |value| Plane {
            inputs: 20,
            weights: vec![value; 9 * 20],
        };
        let parameters: Vec<Parameter> = (0..9)
            .map(|i| Parameter {
                bias: -1 - i,
                mantissa: 40_000,
                factor: 7,
            })
            .collect();
        let stream = matrix_stream(&config, &parameters, &[&plane(5), &plane(-6)]);
        let block = config.parameter_words() * word;
        let tile = 8 * word;
        assert_eq!(stream.len(), 2 * (block + 2 * 2 * tile));
        assert_eq!(stream[..8], [255, 255, 255, 255, 0x40, 0x9c, 7, 0]);
        assert_eq!((stream[block], stream[block + 2 * tile] as i8), (5, -6));
        let second = &stream[block + 4 * tile..];
        assert_eq!(second[0] as i8, -9);
        assert!(
            second[8..block].iter().all(|&b| b == 0),
            "missing channels are zero"
        );
        assert_eq!((second[block], second[block + 1]), (5, 0));
    }

    #[test]
    fn residual_copies_are_whole_words() {
        let stream = residual_stream(&config("zcu104"), &[1, -2, 300]);
        assert_eq!((stream.len(), &stream[..6]), (128, &[1, 0, 254, 255, 44, 1][..]));
    }
}
