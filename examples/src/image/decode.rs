//! [`decode`], which reads an image file: its pixels, and what its output must keep.
//!
//! Depends on the image crate and, for what it does not report, on the png crate and the markers of JPEG.
//! Sizes are checked before the pixels are decoded.

use std::fs::{self, File};
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use qdjobs::TaskError;

use super::colors::Colors;
use super::{PIXELS_MAX, check_dimensions};
use crate::job_output::file_error;

/// Largest file that is read. Photos have about 20 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Largest chunk of a PNG file that is not pixels: a color profile, for example.
const CHUNK_BYTES_MAX: usize = 64 << 20;

/// What a file contains besides its pixels.
#[derive(Debug)]
pub(super) struct Source {
    /// The file as it is.
    pub(super) file: Vec<u8>,
    pub(super) format: ImageFormat,
    pub(super) colors: Colors,
    /// Whether it is a PNG file with a palette.
    pub(super) has_palette: bool,
    /// Whether its metadata said that the pixels must be rotated or mirrored.
    pub(super) turned: bool,
}

/// The image in the file at `path`, which errors call `name`.
pub(super) fn decode(path: &Path, name: &str) -> Result<(DynamicImage, Source), TaskError> {
    let file = read_file(path, name)?;
    let damaged = |error: &dyn std::fmt::Display| {
        TaskError::permanent(format!("image `{name}` is damaged or incomplete: {error}"))
    };
    // The format is determined by the first bytes, not by the name.
    let format = image::guess_format(&file).ok();
    let Some(format) = format.filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg)) else {
        return Err(TaskError::permanent(format!("`{name}` is neither a PNG nor a JPEG image")));
    };
    let reader = ImageReader::with_format(Cursor::new(file.as_slice()), format);
    let mut decoder = reader.into_decoder().map_err(|error| damaged(&error))?;
    let (width, height) = decoder.dimensions();
    check_dimensions(u64::from(width), u64::from(height)).map_err(|why| {
        TaskError::permanent(format!(
            "image `{name}` is {width} by {height} pixels, {why}; scale it down first"
        ))
    })?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(PIXELS_MAX * 8);
    decoder.set_limits(limits).map_err(|error| damaged(&error))?;
    let (colors, has_palette) = match format {
        ImageFormat::Png => about_png(&file, name, &damaged)?,
        _ => (about_jpeg(&file, name, &mut decoder)?, false),
    };
    // Cameras store the orientation in the metadata, which is not copied: rotate the pixels instead.
    let orientation = decoder.orientation().map_err(|error| damaged(&error))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| damaged(&error))?;
    picture.apply_orientation(orientation);
    let turned = orientation != Orientation::NoTransforms;
    Ok((picture, Source { file, format, colors, has_palette, turned }))
}

/// The error for an image that cannot be opened. A missing image is a permanent error: the caller named it.
pub(super) fn unopened(name: &str, error: &io::Error) -> TaskError {
    let doing = format!("cannot open image `{name}`");
    match error.kind() {
        ErrorKind::NotFound => TaskError::permanent(format!("{doing}: {error}")),
        _ => file_error(doing, error),
    }
}

fn read_file(path: &Path, name: &str) -> Result<Vec<u8>, TaskError> {
    // Checked before the file is opened: opening a named pipe would wait for a writer.
    let about = fs::metadata(path).map_err(|error| unopened(name, &error))?;
    if !about.is_file() {
        return Err(TaskError::permanent(format!("`{name}` is not a regular file")));
    }
    let mut content = Vec::new();
    // A file that grows meanwhile is read only a little beyond the limit.
    File::open(path)
        .map_err(|error| unopened(name, &error))?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|error| file_error(format!("cannot read image `{name}`"), &error))?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(TaskError::permanent(format!(
            "image `{name}` has {} bytes, more than {FILE_BYTES_MAX}; scale it down first",
            about.len().max(FILE_BYTES_MAX + 1)
        )));
    }
    Ok(content)
}

/// The colors of a PNG file, and whether it has a palette.
fn about_png(
    file: &[u8],
    name: &str,
    damaged: &dyn Fn(&dyn std::fmt::Display) -> TaskError,
) -> Result<(Colors, bool), TaskError> {
    let decoder = png::Decoder::new_with_limits(Cursor::new(file), png::Limits { bytes: CHUNK_BYTES_MAX });
    let reader = decoder.read_info().map_err(|error| damaged(&error))?;
    let info = reader.info();
    if let Some(animation) = info.animation_control().filter(|animation| animation.num_frames > 1) {
        return Err(TaskError::permanent(format!(
            "image `{name}` is an animation with {} frames, of which only one would be left; export the frame that \
             you need as an image of its own",
            animation.num_frames
        )));
    }
    Ok((Colors::of_png(info), info.color_type == png::ColorType::Indexed))
}

/// The colors of a JPEG file. A file that ends early is an error: the decoder would fill the rest with gray.
fn about_jpeg(file: &[u8], name: &str, decoder: &mut impl ImageDecoder) -> Result<Colors, TaskError> {
    if !has_end_of_jpeg(file) {
        return Err(TaskError::permanent(format!(
            "image `{name}` is damaged or incomplete: the end of the JPEG file is missing"
        )));
    }
    let profile = decoder.icc_profile().map_err(|error: ImageError| {
        TaskError::permanent(format!("image `{name}` is damaged or incomplete: {error}"))
    })?;
    let colors = Colors::of_jpeg(profile);
    if colors.are_cmyk() {
        // The decoder converts CMYK without a profile, in colors that are visibly different.
        return Err(TaskError::permanent(format!(
            "image `{name}` has the colors of a printer (CMYK with a color profile); convert it to RGB first"
        )));
    }
    Ok(colors)
}

/// Whether the marker of the end follows after the segments and scans of a JPEG file. What follows after the
/// end does not matter: some cameras store more images there.
fn has_end_of_jpeg(file: &[u8]) -> bool {
    const END: u8 = 0xD9;
    let mut rest = file;
    while let Some((marker, after)) = next_marker(rest) {
        match marker {
            END => return true,
            // Markers without a segment: the start of the file, restarts, and bytes that are no markers.
            0x00 | 0x01 | 0xD0..=0xD8 => rest = after,
            _ => {
                let Some([high, low]) = after.first_chunk() else { return false };
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(behind) = after.get(length.max(2)..) else { return false };
                // The pixels of a scan follow its segment and have no length: the search for the next marker
                // skips them.
                rest = behind;
            }
        }
    }
    false
}

/// The next marker of a JPEG file, and the bytes after it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let at = bytes.windows(2).position(|pair| pair[0] == 0xFF && pair[1] != 0xFF)?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_jpeg_is_the_marker_and_not_its_bytes_in_a_segment() {
        let segment = b"\xFF\xE1\x00\x06\xFF\xD9ab";
        let scan = b"\xFF\xDA\x00\x02data\xFF\x00data\xFF\xD0data\xFF";
        let start = [b"\xFF\xD8", &segment[..], scan].concat();
        assert!(has_end_of_jpeg(&[&start[..], b"\xFF\xD9"].concat()));
        assert!(has_end_of_jpeg(&[&start[..], b"\xFF\xD9 more of the camera"].concat()));
        for end in [&b""[..], b"\xFF", b"data", b"\xFF\xDA\x00", b"\xFF\xE1\x00\x06\xFF\xD9"] {
            assert!(!has_end_of_jpeg(&[&start[..], end].concat()), "{end:?}");
        }
    }
}
