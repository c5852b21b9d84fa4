//! NumPy's array file, version 1: little-endian `float32` in row order.

/// Bytes that the header fills up to a multiple of.
const ALIGNMENT: usize = 64;

/// The file of a matrix.
pub fn float32(rows: usize, columns: usize, values: &[f32]) -> Vec<u8> {
    let magic = b"\x93NUMPY\x01\x00";
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let before = magic.len() + 2;
    let total = (before + header.len() + 1).next_multiple_of(ALIGNMENT);
    let width = total - before - 1;
    let mut file = magic.to_vec();
    file.extend(((total - before) as u16).to_le_bytes());
    file.extend(format!("{header:width$}\n").as_bytes());
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_starts_aligned_behind_the_header() {
        let file = float32(2, 3, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let header = usize::from(u16::from_le_bytes([file[8], file[9]]));
        assert_eq!((10 + header) % ALIGNMENT, 0);
        assert_eq!(file.len(), 10 + header + 6 * 4);
        let text = std::str::from_utf8(&file[10..10 + header]).unwrap();
        assert!(text.contains("'shape': (2, 3)") && text.ends_with('\n'), "{text}");
        assert_eq!(file[file.len() - 4..], 5f32.to_le_bytes());
    }
}
