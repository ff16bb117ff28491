//! The task `process_image`: decodes a picture, changes it, writes the outcome beside it.
//!
//! Leans on the image crate, and on `run` for the file. Never comes in: the queue. A path from a job opens only what
//! lies in the [`Album`]'s folder, and no picture is decoded before its size is known to be bearable.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufReader, Cursor};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use qdjobs::TaskError;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::job_output::{Draft, Run, Step};

/// Largest file that is read. Photographs have some 20 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Longest side, of what is read and of what is made.
const SIDE_MAX: u32 = 16_384;

/// Most pixels, of what is read and of what is made: at 8 bytes each half a gigabyte, and no camera of today has more.
const PIXELS_MAX: u64 = 64_000_000;

/// Widest blur, in pixels: beyond it nothing is recognisable, only slow.
const SIGMA_MAX: f32 = 100.0;

/// Most operations of one job.
const OPERATIONS_MAX: usize = 32;

/// How a wrong operation learns what to write.
const VOCABULARY: &str = "resize:WxH, resize:WxH!, thumbnail:WxH, crop:X,Y,W,H, rotate:90|180|270, grayscale, blur:SIGMA, optimize";

/// One change of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// `resize:WxH`: as large as fits into W by H with the sides in proportion; small pictures grow.
    Resize(u32, u32),
    /// `resize:WxH!`: exactly W by H, in proportion or not.
    ResizeExact(u32, u32),
    /// `thumbnail:WxH`: as `resize`, but small pictures stay as they are; quick rather than fine.
    Thumbnail(u32, u32),
    /// `crop:X,Y,W,H`: the part W by H whose upper left corner is X from the left and Y from the top.
    Crop {
        /// From the left edge.
        x: u32,
        /// From the upper edge.
        y: u32,
        /// Of the part.
        width: u32,
        /// Of the part.
        height: u32,
    },
    /// `rotate:90`, clockwise.
    Rotate90,
    /// `rotate:180`.
    Rotate180,
    /// `rotate:270`, clockwise.
    Rotate270,
    /// `grayscale`: no colours.
    Grayscale,
    /// `blur:SIGMA`: softened over some SIGMA pixels.
    Blur(f32),
    /// `optimize`: written as small as it goes; a PNG loses nothing, a JPEG some of its quality.
    Optimize,
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Operation, String> {
        let (verb, rest) = text.split_once(':').unwrap_or((text, ""));
        let wrong =
            |write: &str| format!("operation `{}` is not understood; write {write}", text.escape_debug());
        match verb {
            "resize" => match rest.strip_suffix('!') {
                Some(rest) => size(rest).map(|(w, h)| Operation::ResizeExact(w, h)),
                None => size(rest).map(|(w, h)| Operation::Resize(w, h)),
            }
            .ok_or_else(|| {
                wrong(&format!("resize:WxH with sides from 1 to {SIDE_MAX}, as in resize:200x200"))
            }),
            "thumbnail" => size(rest).map(|(w, h)| Operation::Thumbnail(w, h)).ok_or_else(|| {
                wrong(&format!("thumbnail:WxH with sides from 1 to {SIDE_MAX}, as in thumbnail:128x128"))
            }),
            "crop" => crop(rest).ok_or_else(|| wrong("crop:X,Y,W,H in whole pixels, as in crop:0,0,100,50")),
            "rotate" => match rest {
                "90" => Ok(Operation::Rotate90),
                "180" => Ok(Operation::Rotate180),
                "270" => Ok(Operation::Rotate270),
                _ => Err(wrong("rotate:90, rotate:180 or rotate:270")),
            },
            "blur" => rest
                .parse()
                .ok()
                .filter(|sigma: &f32| *sigma > 0.0 && *sigma <= SIGMA_MAX)
                .map(Operation::Blur)
                .ok_or_else(|| wrong(&format!("blur:SIGMA above 0 and up to {SIGMA_MAX}, as in blur:2.5"))),
            "grayscale" if text == verb => Ok(Operation::Grayscale),
            "optimize" if text == verb => Ok(Operation::Optimize),
            _ => Err(wrong(&format!("one of {VOCABULARY}"))),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Resize(w, h) => write!(f, "resize:{w}x{h}"),
            Operation::ResizeExact(w, h) => write!(f, "resize:{w}x{h}!"),
            Operation::Thumbnail(w, h) => write!(f, "thumbnail:{w}x{h}"),
            Operation::Crop { x, y, width, height } => write!(f, "crop:{x},{y},{width},{height}"),
            Operation::Rotate90 => f.write_str("rotate:90"),
            Operation::Rotate180 => f.write_str("rotate:180"),
            Operation::Rotate270 => f.write_str("rotate:270"),
            Operation::Grayscale => f.write_str("grayscale"),
            Operation::Blur(sigma) => write!(f, "blur:{sigma}"),
            Operation::Optimize => f.write_str("optimize"),
        }
    }
}

// In JSON an operation is its text, so that a wrong one is told what to write before the job is stored.
impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((side(width)?, side(height)?))
}

fn side(text: &str) -> Option<u32> {
    text.parse().ok().filter(|side| (1..=SIDE_MAX).contains(side))
}

fn crop(text: &str) -> Option<Operation> {
    let numbers: Vec<&str> = text.split(',').map(str::trim).collect();
    let [x, y, width, height] = numbers[..] else { return None };
    Some(Operation::Crop {
        x: x.parse().ok()?,
        y: y.parse().ok()?,
        width: side(width)?,
        height: side(height)?,
    })
}

/// What became of the picture: the result of the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Processed {
    /// Always true: a picture that was not processed is an error.
    pub processed: bool,
    /// The picture that was read, as the caller wrote it.
    pub path: String,
    /// The picture that was written.
    pub output: String,
    /// Of the output.
    pub width: u32,
    /// Of the output.
    pub height: u32,
    /// Size of the output's file.
    pub bytes: u64,
}

/// The one folder whose pictures may be read, and beside which outputs are written.
#[derive(Clone, Debug)]
pub struct Album(PathBuf);

impl Album {
    /// Everything in and below `folder`.
    pub fn new(folder: &Path) -> std::io::Result<Album> {
        folder.canonicalize().map(Album)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Applies `operations` in their order to the picture at `path` and writes the outcome beside it, named after the
    /// job: `photo.png` becomes `photo.job-7.png`.
    pub fn process(
        &self,
        path: &str,
        operations: &[Operation],
        run: &Run,
        step: Step<'_>,
    ) -> Result<Processed, TaskError> {
        if operations.len() > OPERATIONS_MAX {
            return Err(TaskError::permanent(format!(
                "{} operations in one job, more than {OPERATIONS_MAX}; split them over several jobs",
                operations.len()
            )));
        }
        let source = self.find(path)?;
        let (mut picture, format) = decode(&source, path)?;
        let steps = operations.len() + 1;
        for (done, operation) in operations.iter().enumerate() {
            step(done as f64 / steps as f64, &operation.to_string())?;
            picture = apply(picture, *operation)?;
        }
        step(operations.len() as f64 / steps as f64, "writing")?;
        let bytes = encode(&picture, format, operations.contains(&Operation::Optimize))?;
        let target = output_path(&source, format, run);
        Draft::new(&target, run)
            .write(&bytes)
            .map_err(|error| TaskError::retry(format!("cannot write {}: {error}", target.display())))?;
        Ok(Processed {
            processed: true,
            path: path.to_owned(),
            output: self.relative(&target),
            width: picture.width(),
            height: picture.height(),
            bytes: bytes.len() as u64,
        })
    }

    /// The file that `path` names, if it is one of the album's. Judged by its words first, so that a path that leads
    /// outside learns nothing of what lies there, then by where its links lead.
    fn find(&self, path: &str) -> Result<PathBuf, TaskError> {
        let outside = || {
            TaskError::permanent(format!(
                "`{}` lies outside of {}, the folder this service processes images in; \
                 give a path below it, or set QDJOBS_IMAGES to another folder",
                path.escape_debug(),
                self.0.display()
            ))
        };
        let joined = self.0.join(path);
        let climbs = joined.components().any(|part| part == Component::ParentDir);
        if climbs || !joined.starts_with(&self.0) {
            return Err(outside());
        }
        let found = joined.canonicalize().map_err(|error| {
            TaskError::permanent(format!("cannot open image `{}`: {error}", path.escape_debug()))
        })?;
        if found.starts_with(&self.0) { Ok(found) } else { Err(outside()) }
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.0).unwrap_or(path).display().to_string()
    }
}

fn decode(source: &Path, shown: &str) -> Result<(DynamicImage, ImageFormat), TaskError> {
    let name = shown.escape_debug();
    let open = || -> std::io::Result<(File, fs::Metadata)> {
        // Looked at before it is opened: opening a pipe would wait for somebody to write into it.
        let about = fs::metadata(source)?;
        Ok((File::open(source)?, about))
    };
    let (file, about) =
        open().map_err(|error| TaskError::permanent(format!("cannot open image `{name}`: {error}")))?;
    if !about.is_file() {
        return Err(TaskError::permanent(format!("`{name}` is not a file")));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(TaskError::permanent(format!(
            "image `{name}` has {} bytes, more than {FILE_BYTES_MAX}; scale it down first",
            about.len()
        )));
    }
    let unreadable = |error: ImageError| match error {
        ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            TaskError::retry(format!("cannot read image `{name}`: {error}"))
        }
        error => TaskError::permanent(format!("image `{name}` is damaged or cut off: {error}")),
    };
    // Judged by its first bytes, not by its name.
    let reader =
        ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(|e| unreadable(e.into()))?;
    let Some(format) =
        reader.format().filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg))
    else {
        return Err(TaskError::permanent(format!("`{name}` is neither a PNG nor a JPEG image")));
    };
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    bearable(u64::from(width), u64::from(height)).map_err(|why| {
        TaskError::permanent(format!(
            "image `{name}` is {width} by {height} pixels, {why}; scale it down first"
        ))
    })?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(PIXELS_MAX * 8);
    decoder.set_limits(limits).map_err(unreadable)?;
    // Cameras write how they were held into the metadata, which is not copied: turn the pixels themselves.
    let orientation = decoder.orientation().map_err(unreadable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    picture.apply_orientation(orientation);
    Ok((picture, format))
}

fn bearable(width: u64, height: u64) -> Result<(), String> {
    if width.max(height) > u64::from(SIDE_MAX) {
        return Err(format!("longer than {SIDE_MAX} on a side"));
    }
    if width * height > PIXELS_MAX {
        return Err(format!("more than {} million", PIXELS_MAX / 1_000_000));
    }
    Ok(())
}

fn apply(picture: DynamicImage, operation: Operation) -> Result<DynamicImage, TaskError> {
    let (from_width, from_height) = (picture.width(), picture.height());
    let makes = |width: u32, height: u32| {
        bearable(u64::from(width), u64::from(height)).map_err(|why| {
            TaskError::permanent(format!("`{operation}` would make a picture {why}; write less"))
        })
    };
    Ok(match operation {
        Operation::Resize(width, height) => {
            let (width, height) = fit((from_width, from_height), (width, height));
            makes(width, height)?;
            picture.resize_exact(width, height, FilterType::Lanczos3)
        }
        Operation::ResizeExact(width, height) => {
            makes(width, height)?;
            picture.resize_exact(width, height, FilterType::Lanczos3)
        }
        Operation::Thumbnail(width, height) if from_width <= width && from_height <= height => picture,
        Operation::Thumbnail(width, height) => {
            let (width, height) = fit((from_width, from_height), (width, height));
            picture.thumbnail_exact(width, height)
        }
        Operation::Crop { x, y, width, height } => {
            let inside =
                |from: u32, length: u32, whole: u32| from.checked_add(length).is_some_and(|end| end <= whole);
            if !(inside(x, width, from_width) && inside(y, height, from_height)) {
                return Err(TaskError::permanent(format!(
                    "`{operation}` reaches over the edge of the picture, which is {from_width} by {from_height} at \
                     this point; write X + W up to {from_width} and Y + H up to {from_height}"
                )));
            }
            picture.crop_imm(x, y, width, height)
        }
        Operation::Rotate90 => picture.rotate90(),
        Operation::Rotate180 => picture.rotate180(),
        Operation::Rotate270 => picture.rotate270(),
        Operation::Grayscale => picture.grayscale(),
        Operation::Blur(sigma) => picture.fast_blur(sigma),
        // Says how to write, not what to draw.
        Operation::Optimize => picture,
    })
}

/// The largest size in proportion with `from` that fits into `frame`, never less than a pixel.
fn fit((width, height): (u32, u32), frame: (u32, u32)) -> (u32, u32) {
    let scale = (f64::from(frame.0) / f64::from(width)).min(f64::from(frame.1) / f64::from(height));
    let scaled = |side: u32| (f64::from(side) * scale).round().max(1.0) as u32;
    (scaled(width), scaled(height))
}

fn encode(picture: &DynamicImage, format: ImageFormat, optimize: bool) -> Result<Vec<u8>, TaskError> {
    let mut bytes = Cursor::new(Vec::new());
    let written =
        match format {
            ImageFormat::Jpeg => {
                let quality = if optimize { 75 } else { 90 };
                // JPEG knows neither transparency nor more than 8 bits.
                let flat = if picture.color().has_color() {
                    DynamicImage::from(picture.to_rgb8())
                } else {
                    DynamicImage::from(picture.to_luma8())
                };
                flat.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))
            }
            _ if optimize => without_spare_channels(picture).write_with_encoder(
                PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, PngFilter::Adaptive),
            ),
            _ => picture.write_with_encoder(PngEncoder::new(&mut bytes)),
        };
    written.map_err(|error| TaskError::permanent(format!("cannot write this picture: {error}")))?;
    Ok(bytes.into_inner())
}

/// The same pixels, without a transparency that hides nothing and without colours that are all gray.
fn without_spare_channels(picture: &DynamicImage) -> DynamicImage {
    let DynamicImage::ImageRgba8(pixels) = picture else { return picture.clone() };
    if pixels.pixels().any(|pixel| pixel[3] != u8::MAX) {
        return picture.clone();
    }
    if pixels.pixels().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]) {
        return DynamicImage::from(picture.to_luma8());
    }
    DynamicImage::from(picture.to_rgb8())
}

fn output_path(source: &Path, format: ImageFormat, run: &Run) -> PathBuf {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let ending = if format == ImageFormat::Jpeg { "jpg" } else { "png" };
    source.with_file_name(format!("{stem}.job-{}.{ending}", run.job))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_as_they_are_written() {
        for text in [
            "resize:200x200",
            "resize:10x20!",
            "thumbnail:1x16384",
            "crop:0,1,2,3",
            "rotate:90",
            "rotate:180",
            "rotate:270",
            "grayscale",
            "blur:2.5",
            "optimize",
        ] {
            assert_eq!(text.parse::<Operation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_operation_is_told_what_to_write() {
        for (text, write) in [
            ("sharpen", "resize:WxH"),
            ("", "resize:WxH"),
            ("grayscale:1", "grayscale"),
            ("resize", "resize:200x200"),
            ("resize:200", "resize:200x200"),
            ("resize:0x5", "from 1 to 16384"),
            ("resize:99999x5", "from 1 to 16384"),
            ("resize:-1x5", "resize:200x200"),
            ("crop:1,2,3", "crop:X,Y,W,H"),
            ("crop:1,2,3,4,5", "crop:X,Y,W,H"),
            ("crop:0,0,0,1", "crop:X,Y,W,H"),
            ("rotate:45", "rotate:90"),
            ("blur:0", "blur:SIGMA"),
            ("blur:NaN", "blur:SIGMA"),
            ("blur:inf", "blur:SIGMA"),
            ("thumbnail:axb", "thumbnail:128x128"),
        ] {
            let error = text.parse::<Operation>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")) && error.contains(write), "{text}: {error}");
        }
    }

    #[test]
    fn a_fitted_picture_keeps_its_proportions() {
        assert_eq!(fit((400, 300), (200, 200)), (200, 150));
        assert_eq!(fit((30, 40), (200, 200)), (150, 200));
        assert_eq!(fit((10_000, 1), (10, 10)), (10, 1));
    }
}
