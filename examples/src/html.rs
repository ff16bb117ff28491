//! HTML that cannot be broken by what it shows: [`Html`].
//!
//! Leans on nothing. There are two ways in and no third: markup is a literal of this program, and everything that is
//! only known when it runs is text, and escaped.

use std::fmt::{Display, Write};

/// A page in the making.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// An empty page.
    pub fn new() -> Html {
        Html::default()
    }

    /// Markup, which only this program's own source can hold.
    pub fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// A value, as the text of an element or inside the quotes of an attribute.
    pub fn text(&mut self, value: impl Display) -> &mut Html {
        // Writing into a `String` cannot fail, and a `Display` that does has shown what it could.
        write!(Escaped(&mut self.0), "{value}").ok();
        self
    }

    /// The page.
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
                // No control character but the line break means anything to a reader.
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
