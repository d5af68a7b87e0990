//! Rust source cut into words and punctuation, without comments, strings and character literals:
//! just enough for rules about names and paths. It need not know Rust's grammar.

/// One word (identifier, keyword, number) or one punctuation character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// Whether `tokens` go on with exactly these texts.
pub fn starts_with(tokens: &[Token], texts: &[&str]) -> bool {
    tokens.len() >= texts.len() && tokens.iter().zip(texts).all(|(token, text)| token.is(text))
}

pub fn tokens(source: &str) -> Vec<Token> {
    Lexer { chars: source.chars().collect(), at: 0, line: 1, tokens: Vec::new() }.run()
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn run(mut self) -> Vec<Token> {
        while let Some(c) = self.peek(0) {
            match c {
                '/' if self.peek(1) == Some('/') => self.skip_while(|c| c != '\n'),
                '/' if self.peek(1) == Some('*') => self.skip_block_comment(),
                '"' => self.skip_string(),
                '\'' => self.skip_char_or_lifetime(),
                c if c.is_whitespace() => self.step(),
                c if c.is_alphanumeric() || c == '_' => self.word(),
                c => {
                    self.tokens.push(Token { text: c.to_string(), line: self.line });
                    self.step();
                }
            }
        }
        self.tokens
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        if self.peek(0) == Some('\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.step();
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                _ => {
                    self.step();
                    continue;
                }
            }
            self.step();
            self.step();
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        self.step();
        while let Some(c) = self.peek(0) {
            self.step();
            match c {
                '\\' => self.step(),
                '"' => return,
                _ => {}
            }
        }
    }

    fn skip_raw_string(&mut self) {
        let begin = self.at;
        self.skip_while(|c| c == '#');
        let hashes = self.at - begin;
        self.step();
        while self.at < self.chars.len() {
            if self.peek(0) == Some('"') && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                (0..=hashes).for_each(|_| self.step());
                return;
            }
            self.step();
        }
    }

    fn skip_char_or_lifetime(&mut self) {
        self.step();
        if self.peek(0) == Some('\\') {
            self.step();
            self.step();
            self.skip_while(|c| c != '\'');
            self.step();
        } else if self.peek(1) == Some('\'') {
            self.step();
            self.step();
        } else {
            self.skip_while(|c| c.is_alphanumeric() || c == '_');
        }
    }

    fn word(&mut self) {
        let (begin, line) = (self.at, self.line);
        self.skip_while(|c| c.is_alphanumeric() || c == '_');
        let text: String = self.chars[begin..self.at].iter().collect();
        let raw = matches!(text.as_str(), "r" | "br" | "cr");
        match (self.peek(0), self.peek(1)) {
            (Some('"'), _) if raw => self.skip_raw_string(),
            (Some('#'), Some('"' | '#')) if raw => self.skip_raw_string(),
            // A raw identifier: the word follows.
            (Some('#'), _) if text == "r" => self.step(),
            (Some('"'), _) if matches!(text.as_str(), "b" | "c") => self.skip_string(),
            (Some('\''), _) if text == "b" => self.skip_char_or_lifetime(),
            _ => self.tokens.push(Token { text, line }),
        }
    }
}

#[test]
fn comments_strings_and_characters_are_no_words() {
    let source = r###"
        // unsafe one
        /* unsafe /* two */ still */ let a = "unsafe \" three"; //! unsafe
        let b = r#"unsafe " four"#; let c = b"unsafe"; let d = '\''; let e = 'u';
        fn f<'unsafe_lifetime>(g: &'static str) { r#final(b'x') }
        "###;
    let words: Vec<String> = tokens(source).into_iter().filter(Token::is_word).map(|token| token.text).collect();
    assert_eq!(words.join(" "), "let a let b let c let d let e fn f g str final");
}

#[test]
fn tokens_know_their_lines() {
    let found = tokens("a\n\"two\nlines\" b /* \n */ ::c");
    let lines: Vec<(&str, usize)> = found.iter().map(|token| (token.text.as_str(), token.line)).collect();
    assert_eq!(lines, [("a", 1), ("b", 3), (":", 4), (":", 4), ("c", 4)]);
}
