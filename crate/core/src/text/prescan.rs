//! HTML's prescan: which charset the first bytes of a page declare in a meta element, before anything can be decoded
//! (HTML, 13.2.3.2, "prescan a byte stream to determine its encoding"). It parses no HTML beyond that.

use encoding_rs::Encoding;

use super::known;

/// A walk over the head of a page.
#[derive(Debug)]
pub(super) struct Prescan<'a> {
    head: &'a [u8],
    at: usize,
}

/// The head ended amid something; what it would have declared does not count.
#[derive(Debug)]
struct Ended;

struct Attribute<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Prescan<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { head: &data[..data.len().min(LENGTH)], at: 0 }
    }

    /// What the first meta element that names a known charset declares.
    pub(super) fn encoding(mut self) -> Option<&'static Encoding> {
        while let Some(next) = self.rest().iter().position(|byte| *byte == b'<') {
            self.at += next;
            match self.markup() {
                Ok(None) => {}
                Ok(declared) => return declared,
                Err(Ended) => return None,
            }
        }
        None
    }

    /// Steps over what the `<` here begins.
    fn markup(&mut self) -> Result<Option<&'static Encoding>, Ended> {
        match self.rest() {
            [b'<', b'!', b'-', b'-', ..] => {
                // The dashes that end a comment may be those that open it: `<!-->` is one.
                self.at += 2;
                self.skip_to(b"-->")?;
                self.at += 3;
            }
            [b'<', b'm' | b'M', b'e' | b'E', b't' | b'T', b'a' | b'A', after, ..]
                if is_space(*after) || *after == b'/' =>
            {
                self.at += 5;
                return self.meta();
            }
            [b'<', b'a'..=b'z' | b'A'..=b'Z', ..] | [b'<', b'/', b'a'..=b'z' | b'A'..=b'Z', ..] => {
                // Attributes are read so that a `<meta>` inside a quoted value is not taken for an element.
                while !(is_space(self.byte()?) || self.byte()? == b'>') {
                    self.at += 1;
                }
                while self.attribute()?.is_some() {}
            }
            [b'<', b'!' | b'/' | b'?', ..] => self.skip_to(b">")?,
            _ => self.at += 1,
        }
        Ok(None)
    }

    /// The charset that a meta element declares, if it is known.
    fn meta(&mut self) -> Result<Option<&'static Encoding>, Ended> {
        let (mut http_equiv, mut content, mut charset) = (None, None, None);
        while let Some(Attribute { name, value }) = self.attribute()? {
            // Of two attributes of one name the first counts.
            for (slot, wanted) in
                [(&mut http_equiv, &b"http-equiv"[..]), (&mut content, b"content"), (&mut charset, b"charset")]
            {
                if name.eq_ignore_ascii_case(wanted) {
                    slot.get_or_insert(value);
                }
            }
        }
        if let Some(label) = charset {
            return Ok(known(label));
        }
        let is_content_type = http_equiv.is_some_and(|value| value.eq_ignore_ascii_case(b"content-type"));
        Ok(content.filter(|_| is_content_type).and_then(label_in).and_then(known))
    }

    /// The next attribute of the tag that it is in; `None` at the tag's end.
    fn attribute(&mut self) -> Result<Option<Attribute<'a>>, Ended> {
        while is_space(self.byte()?) || self.byte()? == b'/' {
            self.at += 1;
        }
        if self.byte()? == b'>' {
            return Ok(None);
        }
        let start = self.at;
        // An equals sign that comes first belongs to the name.
        self.at += 1;
        while !(is_space(self.byte()?) || matches!(self.byte()?, b'=' | b'/' | b'>')) {
            self.at += 1;
        }
        let name = &self.head[start..self.at];
        self.skip_space()?;
        if self.byte()? != b'=' {
            return Ok(Some(Attribute { name, value: b"" }));
        }
        self.at += 1;
        self.skip_space()?;
        Ok(Some(Attribute { name, value: self.value()? }))
    }

    fn value(&mut self) -> Result<&'a [u8], Ended> {
        let quote = self.byte()?;
        if quote == b'"' || quote == b'\'' {
            self.at += 1;
            let start = self.at;
            self.skip_to(&[quote])?;
            self.at += 1;
            return Ok(&self.head[start..self.at - 1]);
        }
        let start = self.at;
        while !(is_space(self.byte()?) || self.byte()? == b'>') {
            self.at += 1;
        }
        Ok(&self.head[start..self.at])
    }

    fn skip_space(&mut self) -> Result<(), Ended> {
        while is_space(self.byte()?) {
            self.at += 1;
        }
        Ok(())
    }

    fn skip_to(&mut self, wanted: &[u8]) -> Result<(), Ended> {
        let found = self.rest().windows(wanted.len()).position(|window| window == wanted).ok_or(Ended)?;
        self.at += found;
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        self.head.get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Result<u8, Ended> {
        self.head.get(self.at).copied().ok_or(Ended)
    }
}

/// The label in the content attribute of a meta element (HTML, "extracting a character encoding from a meta element").
fn label_in(content: &[u8]) -> Option<&[u8]> {
    let mut rest = content;
    loop {
        let at = rest.windows(CHARSET.len()).position(|window| window.eq_ignore_ascii_case(CHARSET))?;
        rest = rest[at + CHARSET.len()..].trim_ascii_start();
        let Some(value) = rest.strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        return match value {
            [quote @ (b'"' | b'\''), quoted @ ..] => {
                quoted.iter().position(|byte| byte == quote).map(|end| &quoted[..end])
            }
            _ => value.split(|byte| is_space(*byte) || *byte == b';').next(),
        };
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

/// A meta element that ends later does not count.
const LENGTH: usize = 1024;
const CHARSET: &[u8] = b"charset";
