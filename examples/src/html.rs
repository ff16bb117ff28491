//! [`Html`], a page whose values are always escaped.
//!
//! Depends on the standard library alone. Markup is a literal of this program; every value that is known only
//! at run time is text, and is escaped.

use std::fmt::{Display, Write};

/// An HTML page that is being built.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// An empty page.
    pub fn new() -> Html {
        Html::default()
    }

    /// Appends markup, which is a literal of this program.
    pub fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Appends a value, escaped, as the text of an element or inside the quotes of an attribute.
    pub fn text(&mut self, value: impl Display) -> &mut Html {
        // Writing to a `String` cannot fail; after an error of `Display` the text so far stays.
        write!(Escaped(&mut self.0), "{value}").ok();
        self
    }

    /// The finished page.
    pub fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Control characters other than the line break are not displayed.
                c if c.is_control() && c != '\n' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_in_elements_and_in_attributes() {
        let mut html = Html::new();
        html.raw("<a title=\"").text("\" onload='x'").raw("\">").text("<script>&\u{1b}[31m").raw("</a>");
        assert_eq!(
            html.finish(),
            "<a title=\"&quot; onload=&#39;x&#39;\">&lt;script&gt;&amp;\u{fffd}[31m</a>"
        );
    }
}
