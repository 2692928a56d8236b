//! Comparison of screenshots.

use std::{collections::HashSet, io::Cursor};

use anyhow::{Context, Result, ensure};

/// The difference of a colour channel, of 255, above which a pixel counts as changed. Dithering and anti-aliasing stay
/// below it.
const NOTICEABLE: u8 = 24;

/// Returns the number of pixels that differ noticeably between two PNGs of the same size.
///
/// # Errors
/// When one is not a PNG with 8 bits per channel, or the sizes differ.
pub fn differing(before: &[u8], after: &[u8]) -> Result<usize> {
    let (before, after) = (decode(before)?, decode(after)?);
    ensure!(before.size == after.size, "the screenshots differ in size: {:?}, {:?}", before.size, after.size);
    let pixels =
        |image: &Image| image.bytes.chunks_exact(image.channels).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let differs = |(a, b): &(Vec<u8>, Vec<u8>)| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > NOTICEABLE);
    Ok(pixels(&before).into_iter().zip(pixels(&after)).filter(differs).count())
}

/// Returns the number of colours in a PNG.
///
/// # Errors
/// When it is not a PNG with 8 bits per channel.
pub fn colours(picture: &[u8]) -> Result<usize> {
    let image = decode(picture)?;
    Ok(image.bytes.chunks_exact(image.channels).collect::<HashSet<_>>().len())
}

struct Image {
    size: (u32, u32),
    channels: usize,
    bytes: Vec<u8>,
}

fn decode(png: &[u8]) -> Result<Image> {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().context("not a PNG")?;
    let mut bytes = vec![0; reader.output_buffer_size().context("too large")?];
    let frame = reader.next_frame(&mut bytes).context("a broken PNG")?;
    ensure!(frame.bit_depth == png::BitDepth::Eight, "the PNG does not have 8 bits per channel");
    bytes.truncate(frame.buffer_size());
    Ok(Image { size: (frame.width, frame.height), channels: frame.color_type.samples(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(pixels: &[[u8; 3]]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, u32::try_from(pixels.len()).unwrap(), 1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(pixels.as_flattened()).unwrap();
        file
    }

    #[test]
    fn only_noticeable_differences_count() {
        let before = png(&[[0, 0, 0], [100, 100, 100], [255, 0, 0]]);
        let after = png(&[[0, 0, 0], [110, 100, 95], [255, 0, 200]]);
        assert_eq!(differing(&before, &before).unwrap(), 0);
        assert_eq!(differing(&before, &after).unwrap(), 1);
        assert_eq!((colours(&before).unwrap(), colours(&png(&[[7; 3]; 5])).unwrap()), (3, 1));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert!(differing(&png(&[[0; 3]]), &png(&[[0; 3]; 2])).is_err());
        assert!(differing(b"GIF89a", &png(&[[0; 3]])).is_err());
    }
}
