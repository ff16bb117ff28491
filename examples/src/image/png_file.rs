//! The PNG file of an image: [`encode`]. If it should be small, several forms of the same pixels are tried.
//!
//! Depends on the png crate: the image crate writes neither a palette nor all chunks of `colors`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use image::{DynamicImage, ImageBuffer, Luma, Pixel, Primitive};
use png::{BitDepth, ColorType, Compression, Filter};

use super::colors::Colors;
use super::decode::Source;

/// The largest number of colors of a palette.
const PALETTE_MAX: usize = 256;

/// Pixels in one of the forms of PNG.
struct Form {
    color: ColorType,
    depth: BitDepth,
    /// The rows, one after the other.
    data: Vec<u8>,
    /// Red, green and blue of each color, and the alpha of the first ones.
    palette: Option<(Vec<u8>, Vec<u8>)>,
}

/// The file. Without `optimize`, only an image that had a palette gets one, if it still has few colors.
pub(super) fn encode(picture: DynamicImage, source: &Source, optimize: bool) -> Result<Vec<u8>, String> {
    let size = (picture.width(), picture.height());
    let write = |form: &Form| {
        let compression = if optimize { Compression::High } else { Compression::Fast };
        write(form, size, &source.colors, compression).map_err(|error| error.to_string())
    };
    // A profile for colors is kept: without it, the values of the pixels would mean something else.
    let picture = if source.colors.are_rgb() { with_color(picture) } else { picture };
    let picture = if optimize { reduced(picture, source.colors.are_rgb()) } else { picture };
    let indexed = (optimize || source.has_palette).then(|| indexed(&picture, &source.colors)).flatten();
    match indexed {
        Some(form) if !optimize => write(&form),
        Some(form) => {
            let (indexed, plain) = (write(&form)?, write(&plain(picture)?)?);
            Ok(if indexed.len() < plain.len() { indexed } else { plain })
        }
        None => write(&plain(picture)?),
    }
}

fn write(
    form: &Form,
    (width, height): (u32, u32),
    colors: &Colors,
    compression: Compression,
) -> Result<Vec<u8>, png::EncodingError> {
    let with_color = !matches!(form.color, ColorType::Grayscale | ColorType::GrayscaleAlpha);
    let mut info = png::Info::with_size(width, height);
    info.icc_profile = colors.profile_for(with_color).map(Into::into);
    info.srgb = colors.srgb;
    info.source_gamma = colors.gamma;
    info.source_chromaticities = colors.chromaticities;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::with_info(&mut file, info)?;
    encoder.set_color(form.color);
    encoder.set_depth(form.depth);
    encoder.set_compression(compression);
    encoder.set_filter(if form.palette.is_some() { Filter::NoFilter } else { Filter::Adaptive });
    if let Some((palette, alpha)) = &form.palette {
        encoder.set_palette(palette.as_slice());
        if !alpha.is_empty() {
            encoder.set_trns(alpha.as_slice());
        }
    }
    let mut writer = encoder.write_header()?;
    if let Some(points) = &colors.code_points {
        let data = [
            points.color_primaries,
            points.transfer_function,
            points.matrix_coefficients,
            u8::from(points.is_video_full_range_image),
        ];
        writer.write_chunk(png::chunk::ChunkType(*b"cICP"), &data)?;
    }
    writer.write_image_data(&form.data)?;
    writer.finish()?;
    Ok(file)
}

/// The pixels with all their channels and bits.
fn plain(picture: DynamicImage) -> Result<Form, String> {
    let wide = |samples: Vec<u16>| samples.into_iter().flat_map(u16::to_be_bytes).collect();
    let (color, depth, data) = match picture {
        DynamicImage::ImageLuma8(pixels) => (ColorType::Grayscale, BitDepth::Eight, pixels.into_raw()),
        DynamicImage::ImageLumaA8(pixels) => (ColorType::GrayscaleAlpha, BitDepth::Eight, pixels.into_raw()),
        DynamicImage::ImageRgb8(pixels) => (ColorType::Rgb, BitDepth::Eight, pixels.into_raw()),
        DynamicImage::ImageRgba8(pixels) => (ColorType::Rgba, BitDepth::Eight, pixels.into_raw()),
        DynamicImage::ImageLuma16(pixels) => {
            (ColorType::Grayscale, BitDepth::Sixteen, wide(pixels.into_raw()))
        }
        DynamicImage::ImageLumaA16(pixels) => {
            (ColorType::GrayscaleAlpha, BitDepth::Sixteen, wide(pixels.into_raw()))
        }
        DynamicImage::ImageRgb16(pixels) => (ColorType::Rgb, BitDepth::Sixteen, wide(pixels.into_raw())),
        DynamicImage::ImageRgba16(pixels) => (ColorType::Rgba, BitDepth::Sixteen, wide(pixels.into_raw())),
        other => return Err(format!("PNG has no pixels of the kind {:?}", other.color())),
    };
    Ok(Form { color, depth, data, palette: None })
}

/// The pixels as places in a palette; `None` if they have too many colors or more than 8 bits.
fn indexed(picture: &DynamicImage, colors: &Colors) -> Option<Form> {
    // The chunk `cICP` is written after the header, and must be before a palette.
    let has_8_bits = picture.color().bytes_per_pixel() == picture.color().channel_count();
    if !has_8_bits || colors.code_points.is_some() {
        return None;
    }
    let pixels = picture.to_rgba8();
    let mut places: HashMap<[u8; 4], usize> = HashMap::new();
    let mut found: Vec<[u8; 4]> = Vec::new();
    let mut places_of_pixels = Vec::with_capacity(pixels.len() / 4);
    for pixel in pixels.pixels() {
        let place = match places.entry(pixel.0) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(_) if found.len() == PALETTE_MAX => return None,
            Entry::Vacant(new) => {
                found.push(pixel.0);
                *new.insert(found.len() - 1)
            }
        };
        places_of_pixels.push(place);
    }
    // Only the colors up to the last transparent one have an alpha in the file, so these are the first.
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|place| found[*place][3] == u8::MAX);
    let mut renamed = [0; PALETTE_MAX];
    for (new, old) in (0..=u8::MAX).zip(&order) {
        renamed[*old] = new;
    }
    let palette = order.iter().flat_map(|place| found[*place][..3].to_vec()).collect();
    let alpha = order.iter().map(|place| found[*place][3]).take_while(|alpha| *alpha < u8::MAX).collect();
    let (depth, bits) = match found.len() {
        0..=2 => (BitDepth::One, 1),
        3..=4 => (BitDepth::Two, 2),
        5..=16 => (BitDepth::Four, 4),
        _ => (BitDepth::Eight, 8),
    };
    let mut data = Vec::new();
    for row in places_of_pixels.chunks(pixels.width().max(1) as usize) {
        for pixels in row.chunks(8 / bits) {
            let mut byte = 0;
            for (at, place) in pixels.iter().enumerate() {
                byte |= renamed[*place] << (8 - bits * (at + 1));
            }
            data.push(byte);
        }
    }
    Some(Form { color: ColorType::Indexed, depth, data, palette: Some((palette, alpha)) })
}

/// The same image with the channels of color.
fn with_color(picture: DynamicImage) -> DynamicImage {
    match picture {
        DynamicImage::ImageLuma8(_) => picture.into_rgb8().into(),
        DynamicImage::ImageLumaA8(_) => picture.into_rgba8().into(),
        DynamicImage::ImageLuma16(_) => picture.into_rgb16().into(),
        DynamicImage::ImageLumaA16(_) => picture.into_rgba16().into(),
        other => other,
    }
}

/// The same pixels without bits and channels that contain nothing: the lower half of 16 bits if it repeats the
/// upper one, an alpha that is fully opaque and, unless `keep_color`, colors that are all gray.
fn reduced(picture: DynamicImage, keep_color: bool) -> DynamicImage {
    let picture = narrow(picture);
    let is_opaque = is_opaque(&picture);
    match picture {
        DynamicImage::ImageLumaA8(pixels) if is_opaque => first_channel(&pixels).into(),
        DynamicImage::ImageLumaA16(pixels) if is_opaque => first_channel(&pixels).into(),
        DynamicImage::ImageRgb8(pixels) if !keep_color && is_gray(&pixels) => first_channel(&pixels).into(),
        DynamicImage::ImageRgb16(pixels) if !keep_color && is_gray(&pixels) => first_channel(&pixels).into(),
        DynamicImage::ImageRgba8(pixels) if is_opaque && !keep_color && is_gray(&pixels) => {
            first_channel(&pixels).into()
        }
        DynamicImage::ImageRgba16(pixels) if is_opaque && !keep_color && is_gray(&pixels) => {
            first_channel(&pixels).into()
        }
        DynamicImage::ImageRgba8(_) if is_opaque => picture.into_rgb8().into(),
        DynamicImage::ImageRgba16(_) if is_opaque => picture.into_rgb16().into(),
        other => other,
    }
}

/// With 8 bits for each channel, if its 16 bits are twice the same 8.
fn narrow(picture: DynamicImage) -> DynamicImage {
    let repeats = |samples: &[u16]| samples.iter().all(|sample| sample % 257 == 0);
    match picture {
        DynamicImage::ImageLuma16(ref pixels) if repeats(pixels) => picture.into_luma8().into(),
        DynamicImage::ImageLumaA16(ref pixels) if repeats(pixels) => picture.into_luma_alpha8().into(),
        DynamicImage::ImageRgb16(ref pixels) if repeats(pixels) => picture.into_rgb8().into(),
        DynamicImage::ImageRgba16(ref pixels) if repeats(pixels) => picture.into_rgba8().into(),
        other => other,
    }
}

/// Whether no pixel is transparent, also not in part.
pub(super) fn is_opaque(picture: &DynamicImage) -> bool {
    match picture {
        DynamicImage::ImageLumaA8(pixels) => pixels.pixels().all(|pixel| pixel[1] == u8::MAX),
        DynamicImage::ImageRgba8(pixels) => pixels.pixels().all(|pixel| pixel[3] == u8::MAX),
        DynamicImage::ImageLumaA16(pixels) => pixels.pixels().all(|pixel| pixel[1] == u16::MAX),
        DynamicImage::ImageRgba16(pixels) => pixels.pixels().all(|pixel| pixel[3] == u16::MAX),
        _ => true,
    }
}

fn is_gray<P: Pixel>(pixels: &ImageBuffer<P, Vec<P::Subpixel>>) -> bool {
    pixels.pixels().all(|pixel| {
        let channels = pixel.channels();
        channels[0] == channels[1] && channels[1] == channels[2]
    })
}

fn first_channel<P: Pixel<Subpixel = S>, S: Primitive>(
    pixels: &ImageBuffer<P, Vec<S>>,
) -> ImageBuffer<Luma<S>, Vec<S>>
where
    Luma<S>: Pixel<Subpixel = S>,
{
    ImageBuffer::from_fn(pixels.width(), pixels.height(), |x, y| Luma([pixels.get_pixel(x, y).channels()[0]]))
}
