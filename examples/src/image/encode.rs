//! [`encode`], which writes an image in the format and with the color profile of its source.
//!
//! Depends on the image crate for JPEG. The forms of PNG are in `png`.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder, ImageFormat};
use qdjobs::TaskError;

use super::decode::Source;
use super::png_file;

/// The quality of a JPEG file, of 100.
const QUALITY: u8 = 90;

/// The quality of a JPEG file that should be small.
const QUALITY_OPTIMIZED: u8 = 75;

/// The content of the output.
pub(super) fn encode(picture: DynamicImage, source: &Source, optimize: bool) -> Result<Vec<u8>, TaskError> {
    let written = match source.format {
        ImageFormat::Jpeg => jpeg(&picture, source, optimize),
        _ => png_file::encode(picture, source, optimize),
    };
    written.map_err(|error| TaskError::permanent(format!("cannot encode this image: {error}")))
}

fn jpeg(picture: &DynamicImage, source: &Source, optimize: bool) -> Result<Vec<u8>, String> {
    // JPEG has no transparency and 8 bits per channel.
    let with_color = picture.color().has_color() || source.colors.are_rgb();
    let flat = if with_color {
        DynamicImage::from(picture.to_rgb8())
    } else {
        DynamicImage::from(picture.to_luma8())
    };
    let mut bytes = Cursor::new(Vec::new());
    let quality = if optimize { QUALITY_OPTIMIZED } else { QUALITY };
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    if let Some(profile) = source.colors.profile_for(with_color) {
        encoder.set_icc_profile(profile.to_vec()).map_err(|error| error.to_string())?;
    }
    flat.write_with_encoder(encoder).map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}
