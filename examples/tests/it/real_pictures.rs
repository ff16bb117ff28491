//! Tests of `process_image` with images as cameras, scanners and other programs write them: transparency, color
//! profiles, palettes, 16 bits, orientation, printing colors, animations, files that end early.

use std::fs;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageBuffer, ImageEncoder, LumaA, Rgb, Rgba};
use qdjobs::TaskErrorKind;
use zune_jpeg::JpegDecoder;
use zune_png::zune_core::bytestream::ZCursor;

use crate::pictures::{Pictures, crc32};

/// A profile whose header says that it is for this color space. Nothing here reads the rest.
fn profile(space: &[u8; 4], length: usize) -> Vec<u8> {
    let mut profile: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    profile[16..20].copy_from_slice(space);
    profile[36..40].copy_from_slice(b"acsp");
    profile
}

/// The metadata of a camera that was held in this way.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

fn png(picture: &DynamicImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_with_encoder(PngEncoder::new(&mut file)).unwrap();
    file.into_inner()
}

fn jpeg(picture: &DynamicImage, quality: u8, set: impl FnOnce(&mut JpegEncoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, quality);
    set(&mut encoder);
    picture.write_with_encoder(encoder).unwrap();
    file
}

/// The file with a further chunk directly after its header.
fn with_chunk(png: &[u8], name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    const HEADER_END: usize = 8 + 25;
    let named = [name, data].concat();
    let length = (data.len() as u32).to_be_bytes();
    [&png[..HEADER_END], &length, &named, &crc32(&named).to_be_bytes(), &png[HEADER_END..]].concat()
}

/// The chunks of a file, in order.
fn chunks(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let (mut chunks, mut rest) = (Vec::new(), &png[8..]);
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (name, data) = behind.split_first_chunk::<4>().unwrap();
        chunks.push((*name, data[..length].to_vec()));
        rest = &data[length + 4..];
    }
    chunks
}

/// A PNG file with a palette: `pixels` are places in it, one a byte.
fn with_palette(width: u32, colors: &[[u8; 4]], pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, pixels.len() as u32 / width);
    let (depth, bits) = match colors.len() {
        0..=2 => (png::BitDepth::One, 1),
        3..=4 => (png::BitDepth::Two, 2),
        5..=16 => (png::BitDepth::Four, 4),
        _ => (png::BitDepth::Eight, 8),
    };
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.set_palette(colors.iter().flat_map(|color| color[..3].to_vec()).collect::<Vec<_>>());
    if colors.iter().any(|color| color[3] < 255) {
        encoder.set_trns(colors.iter().map(|color| color[3]).collect::<Vec<_>>());
    }
    let rows = pixels.chunks(width as usize).flat_map(|row| {
        row.chunks(8 / bits).map(|pixels| {
            let shifted = pixels.iter().enumerate().map(|(at, place)| place << (8 - bits * (at + 1)));
            shifted.fold(0, |byte, bits| byte | bits)
        })
    });
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&rows.collect::<Vec<u8>>()).unwrap();
    writer.finish().unwrap();
    file
}

/// Numbers below `limit` without a pattern, the same at each call.
fn noise(count: usize, limit: u32) -> Vec<u8> {
    let mut state = 12_345_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) % limit) as u8
        })
        .collect()
}

/// A photo: a gradient with a little noise.
fn photo(width: u32, height: u32) -> DynamicImage {
    let noise = noise((width * height) as usize, 8);
    ImageBuffer::from_fn(width, height, |x, y| {
        let noise = noise[(y * width + x) as usize];
        Rgb([(x * 200 / width) as u8 + noise, (y * 200 / height) as u8 + noise, 90 + noise])
    })
    .into()
}

impl Pictures {
    fn with(test: &str, name: &str, file: &[u8]) -> Pictures {
        let folder = Pictures::new(test);
        fs::write(folder.0.0.join(name), file).unwrap();
        folder
    }

    /// The file that the operations make of the one at `path`.
    #[track_caller]
    fn made(&self, path: &str, operations: &[&str]) -> Vec<u8> {
        let done = self.process(path, operations).unwrap_or_else(|error| panic!("{operations:?}: {error}"));
        let file = fs::read(self.0.0.join(&done.output)).unwrap();
        assert_eq!(done.bytes, file.len() as u64);
        file
    }
}

const FILTERS: [&str; 5] = ["resize:13x13", "resize:61x61", "resize:20x9!", "thumbnail:13x13", "blur:2.5"];

#[test]
fn a_filter_does_not_mix_in_the_colors_of_transparent_pixels() {
    // The left half is light, the right half is transparent, in black as most programs write it.
    let inside = |x: u32| x < 20;
    let rgba8 =
        ImageBuffer::from_fn(40, 40, |x, _| Rgba(if inside(x) { [250, 200, 150, 255] } else { [0; 4] }));
    let rgba16 = ImageBuffer::from_fn(40, 40, |x, _| {
        Rgba(if inside(x) { [250_u16 * 257, 200 * 257, 150 * 257, u16::MAX] } else { [0; 4] })
    });
    let gray8 = ImageBuffer::from_fn(40, 40, |x, _| LumaA(if inside(x) { [250_u8, 255] } else { [0; 2] }));
    let gray16 =
        ImageBuffer::from_fn(40, 40, |x, _| LumaA(if inside(x) { [250 * 257, u16::MAX] } else { [0; 2] }));
    let pixels: Vec<u8> = (0..1_600).map(|at| u8::from(at % 40 >= 20)).collect();
    let palette = with_palette(40, &[[250, 200, 150, 255], [0; 4]], &pixels);
    for (name, file, colors) in [
        ("rgba8", png(&DynamicImage::ImageRgba8(rgba8)), &[250, 200, 150][..]),
        ("rgba16", png(&DynamicImage::ImageRgba16(rgba16)), &[250, 200, 150]),
        ("gray8", png(&DynamicImage::ImageLumaA8(gray8)), &[250]),
        ("gray16", png(&DynamicImage::ImageLumaA16(gray16)), &[250]),
        ("palette", palette, &[250, 200, 150]),
    ] {
        let folder = Pictures::with(&format!("edges-{name}"), "a.png", &file);
        for operation in FILTERS {
            let made = image::load_from_memory(&folder.made("a.png", &[operation])).unwrap().to_rgba8();
            let mut partly = 0;
            for pixel in made.pixels().filter(|pixel| pixel[3] > 0) {
                partly += u32::from(pixel[3] < 255);
                for (channel, color) in colors.iter().enumerate() {
                    // At an alpha of one step, a color has a coarse scale.
                    let error = pixel[channel].abs_diff(*color);
                    assert!(error <= 2, "{name} {operation}: {pixel:?}");
                }
            }
            assert!(partly > 0 || operation == "resize:20x9!", "{name} {operation}: the edge is hard");
        }
    }
}

#[test]
fn a_filter_changes_an_opaque_image_as_before() {
    let photo = photo(40, 30);
    let folder = Pictures::with("opaque", "a.png", &png(&photo));
    let made = image::load_from_memory(&folder.made("a.png", &["blur:2"])).unwrap();
    assert_eq!(made, photo.fast_blur(2.0));
}

#[test]
fn the_color_profile_of_a_png_is_kept() {
    let icc = profile(b"RGB ", 3_000);
    let mut file = Cursor::new(Vec::new());
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(icc.clone()).unwrap();
    photo(40, 30).write_with_encoder(encoder).unwrap();
    let folder = Pictures::with("profile-png", "a.png", &file.into_inner());
    for operations in [
        &[][..],
        &["resize:20x20"],
        &["rotate:90", "blur:1"],
        &["grayscale"],
        &["optimize"],
        &["grayscale", "optimize"],
    ] {
        let made = folder.made("a.png", operations);
        let reader = png::Decoder::new(Cursor::new(&made)).read_info().unwrap();
        assert_eq!(reader.info().icc_profile.as_deref(), Some(icc.as_slice()), "{operations:?}");
        // A profile for colors is invalid in an image without.
        let color = reader.info().color_type;
        assert!(matches!(color, png::ColorType::Rgb | png::ColorType::Indexed), "{operations:?}: {color:?}");
    }
}

#[test]
fn the_color_profile_of_a_jpeg_is_kept() {
    // The second one does not fit into one segment of the file.
    for length in [3_000, 200_000] {
        let icc = profile(b"RGB ", length);
        let file = jpeg(&photo(40, 30), 90, |encoder| encoder.set_icc_profile(icc.clone()).unwrap());
        let folder = Pictures::with("profile-jpeg", "a.jpg", &file);
        for operations in [&[][..], &["resize:20x20"], &["grayscale"], &["optimize"]] {
            let made = folder.made("a.jpg", operations);
            let mut decoder = JpegDecoder::new(ZCursor::new(made));
            decoder.decode().unwrap();
            assert!(decoder.icc_profile() == Some(icc.clone()), "{operations:?}");
            assert_eq!(decoder.info().unwrap().components, 3, "{operations:?}");
        }
    }
}

#[test]
fn a_gray_profile_is_kept_and_one_that_does_not_apply_is_not() {
    let gray = DynamicImage::from(photo(40, 30).to_luma8());
    for (picture, space, kept) in
        [(&gray, b"GRAY", true), (&photo(40, 30), b"GRAY", false), (&gray, b"Lab ", false)]
    {
        let icc = profile(space, 500);
        let mut file = Cursor::new(Vec::new());
        let mut encoder = PngEncoder::new(&mut file);
        encoder.set_icc_profile(icc.clone()).unwrap();
        picture.write_with_encoder(encoder).unwrap();
        let folder = Pictures::with("profile-gray", "a.png", &file.into_inner());
        let made = folder.made("a.png", &["resize:20x20"]);
        let reader = png::Decoder::new(Cursor::new(&made)).read_info().unwrap();
        assert_eq!(reader.info().icc_profile.as_deref(), Some(icc.as_slice()).filter(|_| kept));
    }
}

#[test]
fn chunks_that_state_the_colors_are_kept() {
    let plain = png(&photo(40, 30));
    let gamma = 100_000_u32.to_be_bytes();
    let primaries: Vec<u8> = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000_u32]
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect();
    for (name, data) in
        [(b"gAMA", &gamma[..]), (b"cHRM", &primaries), (b"sRGB", &[1]), (b"cICP", &[9, 16, 0, 1])]
    {
        let folder = Pictures::with("chunks", "a.png", &with_chunk(&plain, name, data));
        for operations in
            [&[][..], &["resize:20x20"], &["grayscale"], &["optimize"], &["resize:3x3", "optimize"]]
        {
            let made = chunks(&folder.made("a.png", operations));
            let kept = made.iter().find(|(found, _)| found == name);
            assert_eq!(kept.map(|(_, data)| data.as_slice()), Some(data), "{operations:?}");
            // It has no meaning after the pixels or after a palette.
            let names: Vec<_> = made.iter().map(|(name, _)| name).collect();
            let place = |name: &[u8; 4]| names.iter().position(|found| *found == name);
            assert!(place(name) < place(b"IDAT"), "{operations:?}");
            assert!(place(b"PLTE").is_none_or(|palette| place(name) < Some(palette)), "{operations:?}");
        }
    }
}

#[test]
fn optimize_never_writes_more_than_came_in_and_keeps_each_pixel_of_a_png() {
    fn samples<P: image::Pixel<Subpixel = u8>>(channels: usize) -> ImageBuffer<P, Vec<u8>> {
        ImageBuffer::from_vec(64, 64, noise(4_096 * channels, 256)).unwrap()
    }
    fn deep<P: image::Pixel<Subpixel = u16>>(channels: usize, scale: u16) -> ImageBuffer<P, Vec<u16>> {
        let samples = noise(4_096 * channels, 256).into_iter().map(|sample| u16::from(sample) * scale);
        ImageBuffer::from_vec(64, 64, samples.collect()).unwrap()
    }
    let palette = |count: u32, alpha: fn(u8) -> u8| {
        let colors: Vec<[u8; 4]> = (0..count)
            .map(|at| at as u8)
            .map(|at| [at.wrapping_mul(77), at.wrapping_mul(151), at, alpha(at)])
            .collect();
        with_palette(100, &colors, &noise(10_000, count))
    };
    let opaque: fn(u8) -> u8 = |_| 255;
    for (name, file) in [
        ("2 colors", palette(2, opaque)),
        ("3 colors", palette(3, opaque)),
        ("16 colors", palette(16, opaque)),
        ("17 colors", palette(17, opaque)),
        ("256 colors", palette(256, opaque)),
        ("transparent colors", palette(200, |at| if at % 3 == 0 { at } else { 255 })),
        ("one pixel", with_palette(1, &[[1, 2, 3, 255]], &[0])),
        ("16 bits", png(&DynamicImage::ImageLuma16(deep(1, 251)))),
        ("8 bits in 16", png(&DynamicImage::ImageRgb16(deep(3, 257)))),
        ("gray with alpha", png(&DynamicImage::ImageLumaA8(samples(2)))),
        ("gray with alpha in 16 bits", png(&DynamicImage::ImageLumaA16(deep(2, 251)))),
        ("color with alpha in 16 bits", png(&DynamicImage::ImageRgba16(deep(4, 251)))),
        ("color with alpha, 8 bits in 16", png(&DynamicImage::ImageRgba16(deep(4, 257)))),
        ("a photo", png(&photo(100, 80))),
        ("gray", png(&DynamicImage::from(photo(100, 80).to_luma8()))),
        ("gray in color", png(&photo(100, 80).grayscale().to_rgba8().into())),
    ] {
        let folder = Pictures::with("optimize", "a.png", &file);
        for operations in [&["optimize"][..], &["optimize", "thumbnail:500x500", "optimize"], &[]] {
            let made = folder.made("a.png", operations);
            assert!(made.len() <= file.len(), "{name} {operations:?}: {} of {}", made.len(), file.len());
            let (before, after) =
                (image::load_from_memory(&file).unwrap(), image::load_from_memory(&made).unwrap());
            assert!(before.to_rgba16() == after.to_rgba16(), "{name} {operations:?}: the pixels differ");
        }
        // The same number of pixels, in another order.
        let turned = folder.made("a.png", &["rotate:180", "optimize"]);
        assert!(turned.len() <= file.len() * 11 / 10 + 50, "{name}: {} of {}", turned.len(), file.len());
    }
    for quality in [5, 50, 75, 95] {
        let file = jpeg(&photo(100, 80), quality, |_| {});
        let folder = Pictures::with("optimize", "a.jpg", &file);
        for operations in [&["optimize"][..], &[]] {
            let made = folder.made("a.jpg", operations);
            assert!(made.len() <= file.len(), "quality {quality}: {} of {}", made.len(), file.len());
            assert_eq!(image::load_from_memory(&made).unwrap().width(), 100);
        }
    }
}

#[test]
fn an_image_with_a_palette_keeps_it_as_long_as_its_colors_are_few() {
    let colors: Vec<[u8; 4]> =
        (0..16_u8).map(|at| [at * 16, at.wrapping_mul(151), at.wrapping_mul(77), 255]).collect();
    let file = with_palette(100, &colors, &noise(10_000, 16));
    let folder = Pictures::with("palette", "a.png", &file);
    for (operations, kept) in
        [(&["rotate:90"][..], true), (&["crop:0,0,50,50"], true), (&["resize:70x70"], false)]
    {
        let made = folder.made("a.png", operations);
        let reader = png::Decoder::new(Cursor::new(&made)).read_info().unwrap();
        assert_eq!(reader.info().color_type == png::ColorType::Indexed, kept, "{operations:?}");
        assert!(!kept || made.len() < file.len() * 3 / 2, "{operations:?}: {} of {}", made.len(), file.len());
    }
}

#[test]
fn gray_stays_gray_and_16_bits_stay_16_bits() {
    let deep: ImageBuffer<Rgb<u16>, _> =
        ImageBuffer::from_fn(40, 30, |x, y| Rgb([x as u16 * 1_001, y as u16 * 1_003, 7]));
    let folder = Pictures::with("deep", "a.png", &png(&DynamicImage::ImageRgb16(deep)));
    for operations in [&["resize:20x20"][..], &["thumbnail:20x20"], &["blur:1"], &["rotate:90", "optimize"]] {
        let made = image::load_from_memory(&folder.made("a.png", operations)).unwrap();
        assert_eq!(made.color(), image::ColorType::Rgb16, "{operations:?}");
    }
    let gray = DynamicImage::from(photo(40, 30).to_luma8());
    for (name, file) in [("a.png", png(&gray)), ("a.jpg", jpeg(&gray, 90, |_| {}))] {
        let folder = Pictures::with("gray", name, &file);
        for operations in [&["resize:20x20"][..], &["blur:1"], &["optimize"]] {
            let made = image::load_from_memory(&folder.made(name, operations)).unwrap();
            assert!(!made.color().has_color(), "{name} {operations:?}");
        }
    }
}

#[test]
fn the_orientation_of_a_camera_is_applied() {
    // The left half is white, the right half is black; held sideways, the white half is up.
    let held: DynamicImage =
        ImageBuffer::from_fn(64, 32, |x, _| Rgb(if x < 32 { [255; 3] } else { [0_u8; 3] })).into();
    let mut png_file = Cursor::new(Vec::new());
    let mut encoder = PngEncoder::new(&mut png_file);
    encoder.set_exif_metadata(exif(6)).unwrap();
    held.write_with_encoder(encoder).unwrap();
    let jpeg_file = jpeg(&held, 95, |encoder| encoder.set_exif_metadata(exif(6)).unwrap());
    for (name, file) in [("a.png", png_file.into_inner()), ("a.jpg", jpeg_file)] {
        let folder = Pictures::with("held", name, &file);
        for (operations, size) in
            [(&[][..], (32, 64)), (&["optimize"], (32, 64)), (&["resize:16x32"], (16, 32))]
        {
            let made = image::load_from_memory(&folder.made(name, operations)).unwrap().to_luma8();
            assert_eq!((made.width(), made.height()), size, "{name} {operations:?}");
            let (top, bottom) = (made.get_pixel(4, 4)[0], made.get_pixel(4, size.1 - 4)[0]);
            assert!(top > 240 && bottom < 15, "{name} {operations:?}: {top} over {bottom}");
        }
    }
}

#[test]
fn an_animation_is_refused_since_only_one_frame_would_be_left() {
    let still = png(&photo(40, 30));
    let animated = with_chunk(&still, b"acTL", &[0, 0, 0, 5, 0, 0, 0, 0]);
    let folder = Pictures::with("animation", "a.png", &animated);
    fs::write(folder.0.0.join("b.png"), b"GIF89a\x01\0\x01\0\0\0\0;").unwrap();
    for (name, says) in [("a.png", "5 frames"), ("b.png", "neither a PNG nor a JPEG")] {
        let error = folder.process(name, &["resize:20x20"]).unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(folder.0.names(), ["a.png", "b.png"]);
}

#[test]
fn a_jpeg_that_ends_early_is_refused_and_one_with_more_after_its_end_is_not() {
    let whole = jpeg(&photo(100, 80), 90, |encoder| encoder.set_exif_metadata(exif(1)).unwrap());
    let folder = Pictures::with("short-jpeg", "whole.jpg", &whole);
    fs::write(folder.0.0.join("more.jpg"), [&whole[..], b"another image of the camera"].concat()).unwrap();
    for length in [3, 100, 300, 700, whole.len() / 2, whole.len() - 2, whole.len() - 1] {
        fs::write(folder.0.0.join("short.jpg"), &whole[..length]).unwrap();
        let error = folder.process("short.jpg", &[]).unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{length}: {error}");
        assert!(error.to_string().contains("incomplete"), "{length}: {error}");
    }
    folder.made("whole.jpg", &["resize:20x20"]);
    folder.made("more.jpg", &["resize:20x20"]);
}

#[test]
fn a_jpeg_that_states_a_huge_size_is_refused_before_it_is_decoded() {
    let mut file = jpeg(&photo(100, 80), 90, |_| {});
    let frame = file.windows(2).position(|pair| pair == b"\xFF\xC0").unwrap();
    file[frame + 5..frame + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    let folder = Pictures::with("huge-jpeg", "a.jpg", &file);
    let error = folder.process("a.jpg", &["thumbnail:10x10"]).unwrap_err();
    assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
    assert!(error.to_string().contains("60000 by 60000"), "{error}");
}

#[test]
fn the_colors_of_printing_are_converted_unless_they_have_a_profile() {
    // Red: no cyan, full magenta, full yellow, no black. Adobe's form has the inverse.
    let file = printed([255, 0, 0, 255], None);
    let folder = Pictures::with("cmyk", "a.jpg", &file);
    let made = image::load_from_memory(&folder.made("a.jpg", &["resize:4x4"])).unwrap().to_rgb8();
    let [red, green, blue] = made.get_pixel(2, 2).0;
    assert!(red > 245 && green < 10 && blue < 10, "{red} {green} {blue}");

    let folder =
        Pictures::with("cmyk-profile", "a.jpg", &printed([255, 0, 0, 255], Some(&profile(b"CMYK", 500))));
    let error = folder.process("a.jpg", &["resize:4x4"]).unwrap_err();
    assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
    assert!(error.to_string().contains("convert it to RGB first"), "{error}");
}

#[test]
fn an_image_has_the_format_of_its_content_whatever_its_name_says() {
    for (name, file, output) in [
        ("a.jpg", png(&photo(40, 30)), "a.job-7.png"),
        ("a.png", jpeg(&photo(40, 30), 90, |_| {}), "a.job-7.jpg"),
        ("a", png(&photo(40, 30)), "a.job-7.png"),
        ("a.b.txt", jpeg(&photo(40, 30), 90, |_| {}), "a.b.job-7.jpg"),
    ] {
        let folder = Pictures::with("endings", name, &file);
        assert_eq!(folder.process(name, &["optimize"]).unwrap().output, output);
    }
}

#[test]
fn the_path_in_an_error_is_short() {
    let folder = Pictures::new("long-error");
    let error = folder.process(&"../".repeat(100_000), &[]).unwrap_err().to_string();
    assert!(error.len() < 1_000, "{} bytes", error.len());
}

/// A JPEG file of 8 by 8 equal pixels with four components: the smallest that a printing program could write.
fn printed(values: [u8; 4], icc: Option<&[u8]>) -> Vec<u8> {
    let mut file = b"\xFF\xD8".to_vec();
    let mut segment = |marker: u8, data: &[u8]| {
        file.extend([0xFF, marker]);
        file.extend((data.len() as u16 + 2).to_be_bytes());
        file.extend(data);
    };
    segment(0xEE, b"Adobe\0\x64\0\0\0\0\0");
    if let Some(icc) = icc {
        segment(0xE2, &[b"ICC_PROFILE\0\x01\x01", icc].concat());
    }
    segment(0xDB, &[&[0][..], &[1; 64]].concat());
    segment(0xC0, &[8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0]);
    // Codes of 4 bits for the sizes 0 to 11 of a mean value, and one of 1 bit for the end of a block.
    let lengths = [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    segment(0xC4, &[&[0x00][..], &lengths, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]].concat());
    segment(0xC4, &[&[0x10][..], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0]].concat());
    segment(0xDA, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]);
    let mut bits = String::new();
    for value in values {
        let mean = (i32::from(value) - 128) * 8;
        let size = (32 - mean.unsigned_abs().leading_zeros()) as usize;
        let coded = if mean < 0 { mean + (1 << size) - 1 } else { mean };
        bits += &format!("{size:04b}");
        if size > 0 {
            bits += &format!("{coded:0size$b}");
        }
        bits += "0";
    }
    while !bits.len().is_multiple_of(8) {
        bits += "1";
    }
    for byte in bits.as_bytes().chunks(8) {
        let byte = u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap();
        file.push(byte);
        if byte == 0xFF {
            file.push(0);
        }
    }
    file.extend(b"\xFF\xD9");
    file
}
