//! Signal paths of a kernel: `rows[i]$out[j+1]$next` becomes `rows$3$out$4`.

/// The values of the loop variables around a statement, innermost last.
pub type Loops = Vec<(String, i128)>;

pub fn loop_value(loops: &Loops, name: &str) -> Option<i128> {
    loops.iter().rev().find(|(n, _)| n == name).map(|(_, v)| *v)
}

/// Resolves every index of a path with the loop variables at hand.
pub fn resolve(text: &str, loops: &Loops) -> Result<String, String> {
    let text = text.replace("::", "$").replace('.', "$");
    let text = text.trim_start_matches('$');
    let text = text.strip_suffix("$next").unwrap_or(text);
    let mut path = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let close = rest[open..]
            .find(']')
            .map(|n| n + open)
            .ok_or("the brackets do not match")?;
        let index = &rest[open + 1..close];
        if index.contains('[') {
            return Err("an index that is itself indexed is not supported".into());
        }
        let value = evaluate(index, loops)?;
        if value < 0 {
            return Err(format!("index `{index}` is negative: {value}"));
        }
        path += &rest[..open];
        path += &format!("${value}");
        rest = &rest[close + 1..];
    }
    Ok(path + rest)
}

/// Evaluates an index such as `(i+1)*2` exactly.
pub fn evaluate(text: &str, loops: &Loops) -> Result<i128, String> {
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
        loops,
    };
    let value = parser.sum()?;
    match parser.at == text.len() {
        true => Ok(value),
        false => Err(format!("index `{text}` is not plain arithmetic")),
    }
}

/// Reads an integer as Rust writes it: `12`, `0x1F`, `0b10`, `1_000`, `7usize`.
pub fn integer(text: &str) -> Option<i128> {
    let text = text.replace('_', "");
    let suffixes = [
        "usize", "u128", "u64", "u32", "u16", "u8", "i128", "i64", "i32", "i16", "i8", "isize",
    ];
    let body = suffixes
        .iter()
        .find_map(|s| text.strip_suffix(s))
        .unwrap_or(&text);
    match body.get(..2) {
        Some("0x") => i128::from_str_radix(&body[2..], 16).ok(),
        Some("0b") => i128::from_str_radix(&body[2..], 2).ok(),
        Some("0o") => i128::from_str_radix(&body[2..], 8).ok(),
        _ => body.parse().ok(),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    loops: &'a Loops,
}

impl Parser<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn sum(&mut self) -> Result<i128, String> {
        let mut value = self.product()?;
        while let op @ (b'+' | b'-') = self.peek() {
            self.at += 1;
            let right = self.product()?;
            let result = if op == b'+' {
                value.checked_add(right)
            } else {
                value.checked_sub(right)
            };
            value = result.ok_or("the index overflows")?;
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<i128, String> {
        let mut value = self.operand()?;
        while let op @ (b'*' | b'/' | b'%') = self.peek() {
            self.at += 1;
            let right = self.operand()?;
            let result = match op {
                b'*' => value.checked_mul(right),
                b'/' => value.checked_div(right),
                _ => value.checked_rem(right),
            };
            value = result.ok_or("the index overflows or divides by zero")?;
        }
        Ok(value)
    }

    fn operand(&mut self) -> Result<i128, String> {
        if self.peek() == b'(' {
            self.at += 1;
            let value = self.sum()?;
            if self.peek() != b')' {
                return Err("the parentheses of an index do not match".into());
            }
            self.at += 1;
            return Ok(value);
        }
        let word = self.word();
        if let Some(value) = loop_value(self.loops, &word).or_else(|| integer(&word)) {
            return Ok(value);
        }
        Err(format!(
            "index `{word}` is neither a number nor a loop variable (plain Rust fields are visible only as loop bounds)"
        ))
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_ascii_alphanumeric() || matches!(self.peek(), b'_' | b'$') {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.text[start..self.at]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loops() -> Loops {
        vec![("i".into(), 3), ("j".into(), 5), ("i".into(), 4)]
    }

    #[test]
    fn every_index_is_resolved_with_the_innermost_loop() {
        assert_eq!(
            resolve("rows[i]$out[j+1]$next", &loops()).unwrap(),
            "rows$4$out$6"
        );
        assert_eq!(resolve("a[(i-1)*2+j%2]", &loops()).unwrap(), "a$7");
        assert_eq!(resolve("grid[0][i]$x", &loops()).unwrap(), "grid$0$4$x");
    }

    #[test]
    fn what_is_not_arithmetic_is_refused() {
        for bad in [
            "a[_n-1]",
            "a[b[i]]",
            "a[i-9]",
            "a[i/0]",
            "a[i",
            "a[i.into()]",
            "a[(i+1]",
            "a[]",
        ] {
            assert!(resolve(bad, &loops()).is_err(), "{bad}");
        }
    }

    #[test]
    fn integers_are_read_in_every_base() {
        assert_eq!(integer("0x1_Fusize"), Some(31));
        assert_eq!(integer("0b101"), Some(5));
        assert_eq!(integer("1_000u64"), Some(1000));
        assert_eq!(integer("Idle"), None);
    }
}
