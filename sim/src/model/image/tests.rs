use super::*;
use std::io::{Cursor, Write};

fn encode(color: ColorType, depth: BitDepth, width: u32, height: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette(vec![255, 0, 0, 0, 255, 0]);
    }
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    out
}

fn decode(bytes: &[u8], channels: usize) -> Result<Image, ImageError> {
    Image::decode(Cursor::new(bytes), "p.png", channels)
}

#[test]
fn grey_and_rgb_convert_both_ways() {
    let grey = encode(ColorType::Grayscale, BitDepth::Eight, 2, 1, &[7, 250]);
    assert_eq!(decode(&grey, 1).unwrap().pixels, [7, 250]);
    assert_eq!(decode(&grey, 3).unwrap().pixels, [7, 7, 7, 250, 250, 250]);
    let rgb = encode(ColorType::Rgb, BitDepth::Eight, 2, 1, &[255, 0, 0, 10, 20, 30]);
    assert_eq!(decode(&rgb, 3).unwrap().pixels, [255, 0, 0, 10, 20, 30]);
    assert_eq!(decode(&rgb, 1).unwrap().pixels, [76, 18]);
}

#[test]
fn palette_and_opaque_alpha_are_expanded() {
    let palette = encode(ColorType::Indexed, BitDepth::Eight, 2, 1, &[1, 0]);
    assert_eq!(decode(&palette, 3).unwrap().pixels, [0, 255, 0, 255, 0, 0]);
    let alpha = encode(ColorType::Rgba, BitDepth::Eight, 1, 1, &[1, 2, 3, 255]);
    assert_eq!(decode(&alpha, 3).unwrap().pixels, [1, 2, 3]);
    let bits = encode(ColorType::Grayscale, BitDepth::One, 8, 1, &[0b1010_0000]);
    assert_eq!(decode(&bits, 1).unwrap().pixels, [255, 0, 255, 0, 0, 0, 0, 0]);
}

#[test]
fn unsuitable_images_are_refused_with_a_sentence() {
    let clear = encode(ColorType::GrayscaleAlpha, BitDepth::Eight, 1, 1, &[1, 0]);
    let deep = encode(ColorType::Grayscale, BitDepth::Sixteen, 1, 1, &[1, 0]);
    let grey = encode(ColorType::Grayscale, BitDepth::Eight, 1, 1, &[1]);
    for (bytes, channels, sentence) in [
        (&clear, 1, "transparent pixels"),
        (&deep, 1, "8 bits a channel, not 16"),
        (&grey, 4, "converted to 4 channels"),
    ] {
        let error = decode(bytes, channels).unwrap_err().to_string();
        assert!(error.starts_with("p.png") && error.contains(sentence), "{error}");
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let whole = encode(ColorType::Grayscale, BitDepth::Eight, 4, 4, &[9; 16]);
    for bytes in [
        &b""[..],
        b"not an image at all",
        &whole[..whole.len() / 2],
        &whole[..40],
    ] {
        let error = decode(bytes, 1).unwrap_err();
        assert!(matches!(error, ImageError::Decode { .. }), "{error}");
    }
    let missing = Image::load("no/such.png", 1).unwrap_err().to_string();
    assert!(missing.contains("no/such.png"), "{missing}");
}

#[test]
fn a_picture_that_claims_to_be_huge_is_refused() {
    let mut bytes = Vec::new();
    let mut writer = png::Encoder::new(&mut bytes, 60_000, 60_000)
        .write_header()
        .unwrap();
    let mut stream = writer.stream_writer().unwrap();
    stream.write_all(&[0; 100_000]).unwrap();
    drop(stream);
    drop(writer);
    let error = decode(&bytes, 1).unwrap_err().to_string();
    assert!(error.contains("60000 x 60000 pixels are more than"), "{error}");
}

#[test]
fn files_are_listed_in_order_and_checked_for_size() {
    let folder = tempfile::tempdir().unwrap();
    let empty = list_png(folder.path()).unwrap_err().to_string();
    assert!(empty.contains("holds no PNG image"), "{empty}");
    let bytes = encode(ColorType::Grayscale, BitDepth::Eight, 3, 2, &[1, 2, 3, 4, 5, 6]);
    for name in ["b.png", "a.PNG", "c.txt"] {
        std::fs::write(folder.path().join(name), &bytes).unwrap();
    }
    let list = list_png(folder.path()).unwrap();
    assert_eq!(list.len(), 2);
    assert!(list[0].ends_with("a.PNG") && list[1].ends_with("b.png"));
    assert_eq!(
        Image::load_sized(&list[0], 2, 3, 1).unwrap().pixels,
        [1, 2, 3, 4, 5, 6]
    );
    let error = Image::load_sized(&list[0], 3, 2, 1).unwrap_err().to_string();
    assert!(
        error.contains("has 2 x 3 pixels") && error.contains("takes 3 x 2"),
        "{error}"
    );
    assert_eq!(LabelMap::load(&list[0]).unwrap().labels, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn label_maps_take_palette_indices_and_refuse_colour() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.png");
    std::fs::write(&path, encode(ColorType::Indexed, BitDepth::Eight, 2, 1, &[1, 0])).unwrap();
    assert_eq!(LabelMap::load(&path).unwrap().labels, [1, 0]);
    std::fs::write(&path, encode(ColorType::Rgb, BitDepth::Eight, 1, 1, &[1, 0, 2])).unwrap();
    assert!(LabelMap::load(&path)
        .unwrap_err()
        .to_string()
        .contains("grey or palette"));
}

#[test]
fn a_sheet_is_cut_in_raster_order() {
    let sheet = Image {
        height: 4,
        width: 4,
        channels: 1,
        pixels: (0..16).collect(),
    };
    let tiles = sheet.tiles(2, 2);
    assert_eq!(tiles.len(), 4);
    assert_eq!(tiles[1].pixels, [2, 3, 6, 7]);
    assert_eq!(tiles[2].pixels, [8, 9, 12, 13]);
    let rgb = Image {
        height: 1,
        width: 2,
        channels: 3,
        pixels: (0..6).collect(),
    };
    assert_eq!(rgb.tiles(1, 1)[1].pixels, [3, 4, 5]);
}
