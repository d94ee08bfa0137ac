//! Puts the words of a Go template together again, as a tree.

use super::lex::{Lexeme, Token, lex, short};
use super::source::{Choice, Head, Kind, Node, Pipe, Pos, Problem, Tree, Word};

/// How deeply blocks and brackets may nest: the reader recurses.
const MAX_DEPTH: usize = 50;

/// Reads a file. Takes time and memory linear in its length.
///
/// # Errors
/// Where Go would not read it either, or that it is too large or too deep.
pub(super) fn parse(text: &str) -> Result<Tree, Problem> {
    let found = lex(text)?;
    let end = found.last().map_or(Pos { line: 1, column: 1 }, |last| last.pos);
    let mut parser = Parser { found: found.into_iter().peekable(), defines: Vec::new(), end };
    let (nodes, ended) = parser.nodes(0, true)?;
    if let Ended::By(word, pos) = ended {
        return Err(Problem::new(pos, format!("this {{{{{word}}}}} ends nothing"), ""));
    }
    Ok(Tree { nodes, defines: parser.defines })
}

struct Parser {
    found: std::iter::Peekable<std::vec::IntoIter<Lexeme>>,
    defines: Vec<(String, Vec<Node>)>,
    end: Pos,
}

/// What ended a list of nodes: the text, or an `else` (its rest not yet read) or an `end`.
enum Ended {
    Text,
    By(&'static str, Pos),
}

type Read<T> = Result<T, Problem>;

impl Parser {
    fn peek(&mut self) -> Option<&Token> {
        self.found.peek().map(|found| &found.token)
    }

    fn pos(&mut self) -> Pos {
        let end = self.end;
        self.found.peek().map_or(end, |found| found.pos)
    }

    fn wrong<T>(&mut self, what: impl Into<String>) -> Read<T> {
        Err(Problem::new(self.pos(), what, ""))
    }

    fn nodes(&mut self, depth: usize, top: bool) -> Read<(Vec<Node>, Ended)> {
        if depth > MAX_DEPTH {
            return self.wrong("blocks nest too deeply");
        }
        let mut nodes = Vec::new();
        while let Some(Lexeme { token, pos, .. }) = self.found.next() {
            let kind = match token {
                Token::Text(text) => Kind::Text(text),
                Token::Comment(text) => Kind::Comment(text),
                // Everything else stands between `{{` and `}}`.
                _ => match self.keyword() {
                    Some(word @ ("end" | "else")) => return Ok((nodes, Ended::By(word, pos))),
                    Some("define") if !top => return Err(Problem::new(pos, "a define can not stand in a block", "")),
                    Some("define") => {
                        self.define(depth)?;
                        continue;
                    }
                    word => self.action(word, pos, depth)?,
                },
            };
            nodes.push(Node { pos, kind });
        }
        Ok((nodes, Ended::Text))
    }

    /// Takes the keyword at the beginning of an action.
    fn keyword(&mut self) -> Option<&'static str> {
        const WORDS: [&str; 10] =
            ["if", "range", "with", "template", "block", "define", "else", "end", "break", "continue"];
        let Some(Token::Name(name)) = self.peek() else { return None };
        let word = WORDS.into_iter().find(|word| word == name)?;
        self.found.next();
        Some(word)
    }

    fn action(&mut self, word: Option<&'static str>, pos: Pos, depth: usize) -> Read<Kind> {
        Ok(match word {
            Some("if") => Kind::If(self.choice("if", depth)?),
            Some("with") => Kind::With(self.choice("with", depth)?),
            Some("range") => self.range(depth)?,
            Some("break") => self.finish(Kind::Break)?,
            Some("continue") => self.finish(Kind::Continue)?,
            Some(word @ ("template" | "block")) => self.call(word == "block", depth)?,
            _ => {
                let pipe = self.pipe(depth)?;
                self.close()?;
                if pipe.names.len() > 1 {
                    return Err(Problem::new(pos, "only range sets two variables", ""));
                }
                if pipe.names.is_empty() { Kind::Print(pipe) } else { Kind::Set(pipe) }
            }
        })
    }

    fn finish(&mut self, kind: Kind) -> Read<Kind> {
        self.close()?;
        Ok(kind)
    }

    /// Takes `}}`.
    fn close(&mut self) -> Read<()> {
        match self.peek() {
            Some(Token::End) => {
                self.found.next();
                Ok(())
            }
            _ => self.wrong("this does not belong here"),
        }
    }

    fn quoted(&mut self, of: &str) -> Read<String> {
        match self.peek() {
            Some(Token::Quoted(name)) => {
                let name = name.clone();
                self.found.next();
                Ok(name)
            }
            _ => self.wrong(format!("{of} needs a name in quotes")),
        }
    }

    fn define(&mut self, depth: usize) -> Read<()> {
        let name = self.quoted("define")?;
        self.close()?;
        let body = self.body("define", depth)?;
        self.defines.push((name, body));
        Ok(())
    }

    /// Nodes up to an `end`.
    fn body(&mut self, of: &str, depth: usize) -> Read<Vec<Node>> {
        let begin = self.pos();
        match self.nodes(depth + 1, false)? {
            (nodes, Ended::By("end", _)) => {
                self.close()?;
                Ok(nodes)
            }
            (_, Ended::By(_, pos)) => Err(Problem::new(pos, format!("{of} has no else"), "")),
            (_, Ended::Text) => Err(Problem::new(begin, format!("this {of} does not end"), "write {{ end }}")),
        }
    }

    fn call(&mut self, block: bool, depth: usize) -> Read<Kind> {
        let name = self.quoted(if block { "block" } else { "template" })?;
        let with = if self.peek() == Some(&Token::End) { None } else { Some(self.pipe(depth)?) };
        self.close()?;
        if block {
            let body = self.body("block", depth)?;
            self.defines.push((name.clone(), body));
        }
        Ok(Kind::Call { name, with })
    }

    fn choice(&mut self, of: &'static str, depth: usize) -> Read<Choice> {
        let begin = self.pos();
        let mut choice = Choice { arms: Vec::new(), other: None };
        loop {
            let pipe = self.pipe(depth)?;
            self.close()?;
            let (nodes, ended) = self.nodes(depth + 1, false)?;
            choice.arms.push((pipe, nodes));
            match ended {
                Ended::By("end", _) => {
                    self.close()?;
                    return Ok(choice);
                }
                Ended::By(..) => {}
                Ended::Text => return Err(Problem::new(begin, format!("this {of} does not end"), "write {{ end }}")),
            }
            match self.keyword() {
                Some(word) if word == of => {}
                Some(word @ ("if" | "with")) => {
                    // An arm of the other kind nests: `else with` of an `if`.
                    let pos = self.pos();
                    let inner = self.choice(word, depth + 1)?;
                    let kind = if word == "if" { Kind::If(inner) } else { Kind::With(inner) };
                    choice.other = Some(vec![Node { pos, kind }]);
                    return Ok(choice);
                }
                Some(_) => return self.wrong("this can not stand behind else"),
                None => {
                    self.close()?;
                    choice.other = Some(self.body("else", depth)?);
                    return Ok(choice);
                }
            }
        }
    }

    fn range(&mut self, depth: usize) -> Read<Kind> {
        let begin = self.pos();
        let pipe = self.pipe(depth)?;
        self.close()?;
        let (body, ended) = self.nodes(depth + 1, false)?;
        let other = match ended {
            Ended::By("end", _) => None,
            Ended::By(..) => {
                self.close()?;
                return Ok(Kind::Range { pipe, body, other: Some(self.body("else", depth)?) });
            }
            Ended::Text => return Err(Problem::new(begin, "this range does not end", "write {{ end }}")),
        };
        self.close()?;
        Ok(Kind::Range { pipe, body, other })
    }

    /// A pipeline up to `}}` or `)`, which stays.
    fn pipe(&mut self, depth: usize) -> Read<Pipe> {
        if depth > MAX_DEPTH {
            return self.wrong("brackets nest too deeply");
        }
        let mut pipe = Pipe { pos: self.pos(), names: Vec::new(), declares: false, commands: Vec::new() };
        let mut command = Vec::new();
        loop {
            match self.peek() {
                None | Some(Token::End | Token::Close) => break,
                Some(Token::Bar) => {
                    if command.is_empty() {
                        return self.wrong("there is nothing before this |");
                    }
                    self.found.next();
                    pipe.commands.push(std::mem::take(&mut command));
                    if matches!(self.peek(), None | Some(Token::End | Token::Close)) {
                        return self.wrong("there is nothing behind the |");
                    }
                }
                Some(Token::Comma | Token::Assign | Token::Declare) => self.sets(&mut pipe, &mut command)?,
                _ => command.push(self.word(depth)?),
            }
        }
        if !command.is_empty() {
            pipe.commands.push(command);
        }
        if pipe.commands.is_empty() {
            return self.wrong("a value is missing here");
        }
        Ok(pipe)
    }

    /// `, ` or `:=` or `=` behind variables.
    fn sets(&mut self, pipe: &mut Pipe, command: &mut Vec<Word>) -> Read<()> {
        let name = match command.pop() {
            Some(Word { head: Head::Variable(name), fields, .. })
                if command.is_empty() && fields.is_empty() && pipe.commands.is_empty() && pipe.names.len() < 2 =>
            {
                name
            }
            _ => return self.wrong("only a variable can be set, at the beginning"),
        };
        pipe.names.push(name);
        let token = self.found.next().map(|found| found.token);
        match token {
            Some(Token::Comma) if pipe.names.len() == 1 => {}
            Some(Token::Comma) => return self.wrong("more than two variables"),
            token => {
                pipe.declares = token == Some(Token::Declare);
                if matches!(self.peek(), None | Some(Token::End | Token::Close)) {
                    return self.wrong("a value is missing here");
                }
            }
        }
        Ok(())
    }

    fn word(&mut self, depth: usize) -> Read<Word> {
        let Some(Lexeme { token, pos, .. }) = self.found.next() else { return self.wrong("a value is missing here") };
        let mut fields = Vec::new();
        let head = match token {
            Token::Dot => Head::Dot,
            Token::Field(name) => {
                fields.push(name);
                Head::Dot
            }
            Token::Variable(name) => Head::Variable(name),
            Token::Quoted(text) => Head::Text(text),
            Token::Number(text) => Head::Number(text),
            Token::Name(name) => match name.as_str() {
                "true" => Head::Flag(true),
                "false" => Head::Flag(false),
                "nil" => Head::Nil,
                _ => Head::Name(name),
            },
            Token::Open => {
                let inner = self.pipe(depth + 1)?;
                if self.peek() != Some(&Token::Close) {
                    return Err(Problem::new(pos, "this bracket does not close", ""));
                }
                self.found.next();
                if !inner.names.is_empty() {
                    return Err(Problem::new(pos, "a variable can not be set in brackets", ""));
                }
                Head::Bracket(Box::new(inner))
            }
            Token::Begin => return Err(Problem::new(pos, "an action can not stand in an action", "")),
            other => {
                return Err(Problem::new(
                    pos,
                    format!("this does not belong here: {}", short(&format!("{other:?}"))),
                    "",
                ));
            }
        };
        while let Some(Lexeme { token: Token::Field(name), glued: true, .. }) = self.found.peek() {
            fields.push(name.clone());
            self.found.next();
        }
        Ok(Word { pos, head, fields })
    }
}
