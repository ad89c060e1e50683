//! Writes records of the exit program by its own code, so that the decoder is not compared with itself.

/// EBCDIC of the characters that lie at the same place in all common pages, and `#` of page 37.
pub fn ebcdic(text: &str) -> Vec<u8> {
    let one = |c: char| -> u8 {
        match c {
            'A'..='I' => c as u8 - b'A' + 0xC1,
            'J'..='R' => c as u8 - b'J' + 0xD1,
            'S'..='Z' => c as u8 - b'S' + 0xE2,
            'a'..='i' => c as u8 - b'a' + 0x81,
            'j'..='r' => c as u8 - b'j' + 0x91,
            's'..='z' => c as u8 - b's' + 0xA2,
            '0'..='9' => c as u8 - b'0' + 0xF0,
            ' ' => 0x40,
            '.' => 0x4B,
            '<' => 0x4C,
            '(' => 0x4D,
            '+' => 0x4E,
            '&' => 0x50,
            '*' => 0x5C,
            ')' => 0x5D,
            ';' => 0x5E,
            '-' => 0x60,
            '/' => 0x61,
            ',' => 0x6B,
            '%' => 0x6C,
            '_' => 0x6D,
            '>' => 0x6E,
            '?' => 0x6F,
            ':' => 0x7A,
            '#' => 0x7B,
            '\'' => 0x7D,
            '=' => 0x7E,
            other => panic!("the encoder of the test does not write {other:?}"),
        }
    };
    text.chars().map(one).collect()
}

/// Four bytes of a number.
pub fn bin4(number: i64) -> Vec<u8> {
    (number as i32).to_be_bytes().to_vec()
}

/// UTF-16, big-endian.
pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A parameter area that is filled piece by piece; blank where nothing is put.
#[derive(Debug, Clone)]
pub struct Area(pub Vec<u8>);

impl Area {
    pub fn blank(length: usize) -> Self {
        Self(vec![0x40; length])
    }

    /// Text at an offset; the area grows if need be.
    pub fn text(self, offset: usize, text: &str) -> Self {
        self.bytes(offset, &ebcdic(text))
    }

    /// A number of four bytes at an offset.
    pub fn number(self, offset: usize, number: i64) -> Self {
        self.bytes(offset, &bin4(number))
    }

    pub fn bytes(mut self, offset: usize, bytes: &[u8]) -> Self {
        let end = offset + bytes.len();
        if self.0.len() < end {
            self.0.resize(end, 0x40);
        }
        self.0[offset..end].copy_from_slice(bytes);
        self
    }
}

/// Head of a request of the host servers, with the function at 28.
pub fn host(server: &str, format: &str, function: i64, length: usize) -> Area {
    Area::blank(length).text(0, "BOB").text(10, server).text(20, format).number(28, function)
}

/// A record while it is made.
#[derive(Debug, Clone)]
pub struct Record {
    pub exit_point: String,
    pub format: String,
    pub current_user: String,
    pub ccsid: i64,
    pub default_ccsid: i64,
    pub cut: bool,
    /// Parameters and the length that each had.
    pub parameters: Vec<(Vec<u8>, usize)>,
}

impl Record {
    pub fn new(exit_point: &str, format: &str, parameters: &[&[u8]]) -> Self {
        Self {
            exit_point: exit_point.to_owned(),
            format: format.to_owned(),
            current_user: "BOB".to_owned(),
            ccsid: 37,
            default_ccsid: 37,
            cut: false,
            parameters: parameters.iter().map(|bytes| (bytes.to_vec(), bytes.len())).collect(),
        }
    }

    /// A request of the host servers: an answer that is not kept, and the request.
    pub fn host(exit_point: &str, format: &str, area: &Area) -> Self {
        Self::new(exit_point, format, &[&[], &area.0])
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Area::blank(128)
            .text(0, "MUSTRX")
            .bytes(6, &[0, 1])
            .number(8, 128)
            .text(16, &self.exit_point)
            .text(36, &self.format)
            .text(44, "20260301123456123456")
            .text(64, "+0100")
            .text(70, "QZDASOINIT")
            .text(80, "QUSER")
            .text(90, "012345")
            .text(96, &self.current_user)
            .number(108, self.ccsid)
            .number(112, self.default_ccsid)
            .text(116, if self.cut { "1" } else { "0" })
            .text(117, "0")
            .number(120, self.parameters.len() as i64)
            .0;
        for (bytes, whole) in &self.parameters {
            out.extend(bin4(bytes.len() as i64));
            out.extend(bin4(*whole as i64));
            out.extend(bytes);
        }
        let length = out.len() as i64;
        Area(out).number(12, length).0
    }
}

/// A request of FTP, REXEC or TFTP.
pub fn vlrq(exit_point: &str, application: i64, operation: i64, address: &str, info: &str) -> Record {
    let (address, info) = (ebcdic(address), ebcdic(info));
    Record::new(
        exit_point,
        "VLRQ0100",
        &[
            &bin4(application),
            &bin4(operation),
            &ebcdic("BOB       "),
            &address,
            &bin4(address.len() as i64),
            &info,
            &bin4(info.len() as i64),
        ],
    )
}

/// `sockaddr_in` of 16 bytes.
pub fn ipv4(address: [u8; 4], port: u16) -> Vec<u8> {
    let mut out = vec![0, 2];
    out.extend(port.to_be_bytes());
    out.extend(address);
    out.resize(16, 0);
    out
}

/// `sockaddr_in6` of 28 bytes.
pub fn ipv6(address: [u16; 8], port: u16) -> Vec<u8> {
    let mut out = vec![28, 24];
    out.extend(port.to_be_bytes());
    out.extend([0; 4]);
    out.extend(address.iter().flat_map(|part| part.to_be_bytes()));
    out.extend([0; 4]);
    out
}
