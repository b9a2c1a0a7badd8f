//! Fuzz input as a sequence of choices. When it runs out, every choice is the first one.

pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number below `limit`. Digits count as what they show, so that a corpus can be text.
    pub fn below(&mut self, limit: usize) -> usize {
        let byte = self.byte();
        usize::from(if byte.is_ascii_digit() { byte - b'0' } else { byte }) % limit
    }

    pub fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// At most `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(count.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    /// A run of bytes whose length is chosen too.
    pub fn bytes(&mut self, limit: usize) -> &'a [u8] {
        let count = self.below(limit + 1);
        self.take(count)
    }

    pub fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.bytes(8);
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }

    pub fn text(&mut self, limit: usize) -> String {
        String::from_utf8_lossy(self.bytes(limit)).into_owned()
    }

    /// One argument of a control line: not empty, without blanks and line feeds, and no CR,
    /// which at the end of a line would be a part of its end.
    pub fn argument(&mut self, limit: usize) -> String {
        let mut text = self.text(limit);
        text.retain(|c| !matches!(c, ' ' | '\t' | '\r' | '\n'));
        if text.is_empty() { "x".into() } else { text }
    }
}
