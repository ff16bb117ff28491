//! [`apply`], which carries out one [`Operation`] on an image.
//!
//! A filter mixes neighboring pixels. The color of a transparent pixel is not visible and often black, so it
//! must not count: colors are multiplied by their alpha before a filter and divided by it after the filter.
//!
//! Depends on the image crate.

use image::DynamicImage;
use image::imageops::FilterType;
use qdjobs::TaskError;

use super::check_dimensions;
use super::operation::Operation;
use super::png_file::is_opaque;

/// The image after the operation.
pub(super) fn apply(picture: DynamicImage, operation: Operation) -> Result<DynamicImage, TaskError> {
    let (from_width, from_height) = (picture.width(), picture.height());
    let makes = |width: u32, height: u32| {
        check_dimensions(u64::from(width), u64::from(height)).map_err(|why| {
            TaskError::permanent(format!("the result of `{operation}` would be {why}; use a smaller size"))
        })
    };
    Ok(match operation {
        Operation::Resize(width, height) => {
            let (width, height) = fit((from_width, from_height), (width, height));
            makes(width, height)?;
            filtered(picture, |picture| picture.resize_exact(width, height, FilterType::Lanczos3))
        }
        Operation::ResizeExact(width, height) => {
            makes(width, height)?;
            filtered(picture, |picture| picture.resize_exact(width, height, FilterType::Lanczos3))
        }
        Operation::Thumbnail(width, height) if from_width <= width && from_height <= height => picture,
        Operation::Thumbnail(width, height) => {
            let (width, height) = fit((from_width, from_height), (width, height));
            filtered(picture, |picture| picture.thumbnail_exact(width, height))
        }
        Operation::Crop { x, y, width, height } => {
            let inside =
                |from: u32, length: u32, whole: u32| from.checked_add(length).is_some_and(|end| end <= whole);
            if !(inside(x, width, from_width) && inside(y, height, from_height)) {
                return Err(TaskError::permanent(format!(
                    "`{operation}` exceeds the image, which is {from_width} by {from_height} pixels at this point; write \
                     X + W up to {from_width} and Y + H up to {from_height}"
                )));
            }
            picture.crop_imm(x, y, width, height)
        }
        Operation::Rotate90 => picture.rotate90(),
        Operation::Rotate180 => picture.rotate180(),
        Operation::Rotate270 => picture.rotate270(),
        Operation::Grayscale => picture.grayscale(),
        Operation::Blur(sigma) => filtered(picture, |picture| picture.fast_blur(sigma)),
        // Applies when the file is written.
        Operation::Optimize => picture,
    })
}

/// Applies a filter that mixes pixels, each color as much as it is visible.
fn filtered(picture: DynamicImage, filter: impl FnOnce(&DynamicImage) -> DynamicImage) -> DynamicImage {
    if is_opaque(&picture) {
        return filter(&picture);
    }
    let has_8_bits = picture.color().bytes_per_pixel() == picture.color().channel_count();
    // With 16 bits, what is lost by the multiplication of 8 bits comes back with the division.
    let mut wide = match picture {
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLumaA16(_) => {
            DynamicImage::from(picture.into_luma_alpha16())
        }
        _ => DynamicImage::from(picture.into_rgba16()),
    };
    for_each_pixel(&mut wide, multiply);
    let mut result = filter(&wide);
    drop(wide);
    for_each_pixel(&mut result, divide);
    match result {
        DynamicImage::ImageLumaA16(_) if has_8_bits => result.into_luma_alpha8().into(),
        DynamicImage::ImageRgba16(_) if has_8_bits => result.into_rgba8().into(),
        other => other,
    }
}

/// Calls `change` with the samples of each pixel. The last one is its alpha.
fn for_each_pixel(picture: &mut DynamicImage, change: fn(&mut [u16])) {
    match picture {
        DynamicImage::ImageLumaA16(pixels) => pixels.pixels_mut().for_each(|pixel| change(&mut pixel.0)),
        DynamicImage::ImageRgba16(pixels) => pixels.pixels_mut().for_each(|pixel| change(&mut pixel.0)),
        _ => {}
    }
}

const FULL: u32 = u16::MAX as u32;

/// Multiplies the colors by the alpha, and all of them by a half: near an edge, the filter of `resize` makes
/// values that are larger than the largest one of its input, and cuts those that are larger than 16 bits. If it
/// cut the alpha, the colors would be divided by too small a number.
fn multiply(pixel: &mut [u16]) {
    let Some((alpha, colors)) = pixel.split_last_mut() else { return };
    *alpha = alpha.div_ceil(2);
    for color in colors {
        let product = u32::from(*color) * u32::from(*alpha);
        *color = ((product + FULL / 2) / FULL) as u16;
    }
}

/// The inverse of [`multiply`].
fn divide(pixel: &mut [u16]) {
    let Some((alpha, colors)) = pixel.split_last_mut() else { return };
    for color in colors {
        let scaled = u32::from(*color) * FULL + u32::from(*alpha / 2);
        *color = scaled.checked_div(u32::from(*alpha)).unwrap_or_default().min(FULL) as u16;
    }
    *alpha = alpha.saturating_mul(2);
}

/// The largest size in proportion that fits into `frame`, at least one pixel.
fn fit((width, height): (u32, u32), frame: (u32, u32)) -> (u32, u32) {
    let scale = (f64::from(frame.0) / f64::from(width)).min(f64::from(frame.1) / f64::from(height));
    let scaled = |side: u32| (f64::from(side) * scale).round().max(1.0) as u32;
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_color_is_the_same_after_it_was_multiplied_and_divided() {
        let as_8_bits = |sample: u16| (u32::from(sample) + 128) / 257;
        for alpha in 1..=255_u16 {
            for color in 0..=255_u16 {
                let mut pixel = [color * 257, alpha * 257];
                multiply(&mut pixel);
                divide(&mut pixel);
                assert_eq!(as_8_bits(pixel[1]), u32::from(alpha));
                // With an alpha of a few steps, nobody sees the difference of one.
                let error = as_8_bits(pixel[0]).abs_diff(u32::from(color));
                assert!(error <= u32::from(alpha < 8), "color {color}, alpha {alpha}: {error}");
            }
        }
        let mut invisible = [u16::MAX, 0];
        multiply(&mut invisible);
        divide(&mut invisible);
        assert_eq!(invisible, [0, 0]);
    }

    #[test]
    fn a_fitted_image_keeps_its_proportions() {
        assert_eq!(fit((400, 300), (200, 200)), (200, 150));
        assert_eq!(fit((30, 40), (200, 200)), (150, 200));
        assert_eq!(fit((10_000, 1), (10, 10)), (10, 1));
    }
}
