//! [`Operation`], one change of an image, and its text.
//!
//! Depends on serde. What an operation does is in `filter`.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SIDE_MAX;

/// Largest blur, in pixels. A larger one is slow, and nothing is recognizable in its result.
const SIGMA_MAX: f32 = 100.0;

/// The operations, for error texts.
const VOCABULARY: &str = "resize:WxH, resize:WxH!, thumbnail:WxH, crop:X,Y,W,H, rotate:90|180|270, grayscale, blur:SIGMA, optimize";

/// One operation on an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// `resize:WxH`: scaled to fit into W by H, in proportion. Small images are enlarged.
    Resize(u32, u32),
    /// `resize:WxH!`: scaled to exactly W by H.
    ResizeExact(u32, u32),
    /// `thumbnail:WxH`: as `resize`, but faster and of lower quality. Small images are not enlarged.
    Thumbnail(u32, u32),
    /// `crop:X,Y,W,H`: the part of W by H pixels whose upper left corner is at X, Y.
    Crop {
        /// The distance from the left edge.
        x: u32,
        /// The distance from the upper edge.
        y: u32,
        /// The width of the part.
        width: u32,
        /// The height of the part.
        height: u32,
    },
    /// `rotate:90`, clockwise.
    Rotate90,
    /// `rotate:180`.
    Rotate180,
    /// `rotate:270`, clockwise.
    Rotate270,
    /// `grayscale`: without colors.
    Grayscale,
    /// `blur:SIGMA`: blurred over SIGMA pixels.
    Blur(f32),
    /// `optimize`: written as a small file. A PNG is lossless, a JPEG has a lower quality. If nothing else
    /// changes the image, the output is never larger than the input.
    Optimize,
}

impl Operation {
    /// Whether it changes the pixels of an image of this size.
    pub(super) fn changes(self, from_width: u32, from_height: u32) -> bool {
        match self {
            Operation::Optimize => false,
            Operation::Thumbnail(width, height) => from_width > width || from_height > height,
            _ => true,
        }
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Operation, String> {
        let (verb, rest) = text.split_once(':').unwrap_or((text, ""));
        let wrong =
            |write: &str| format!("the operation `{}` is invalid; write {write}", text.escape_debug());
        match verb {
            "resize" => match rest.strip_suffix('!') {
                Some(rest) => size(rest).map(|(w, h)| Operation::ResizeExact(w, h)),
                None => size(rest).map(|(w, h)| Operation::Resize(w, h)),
            }
            .ok_or_else(|| {
                wrong(&format!("resize:WxH with sides from 1 to {SIDE_MAX}, for example resize:200x200"))
            }),
            "thumbnail" => size(rest).map(|(w, h)| Operation::Thumbnail(w, h)).ok_or_else(|| {
                wrong(&format!(
                    "thumbnail:WxH with sides from 1 to {SIDE_MAX}, for example thumbnail:128x128"
                ))
            }),
            "crop" => {
                crop(rest).ok_or_else(|| wrong("crop:X,Y,W,H in whole pixels, for example crop:0,0,100,50"))
            }
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
                .ok_or_else(|| {
                    wrong(&format!("blur:SIGMA above 0 and up to {SIGMA_MAX}, for example blur:2.5"))
                }),
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

// In JSON an operation is its text. An invalid one is refused before the job is stored.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_operation_is_parsed_back() {
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
    fn the_error_for_an_invalid_operation_contains_a_valid_one() {
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
}
