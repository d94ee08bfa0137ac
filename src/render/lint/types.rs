//! What a template may find where: taken from what a sample message really holds, so that it can not differ from it.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::render::templates::Part;

/// Objects whose keys are the sender's: any name may be there.
const FREE: [&str; 6] = ["labels", "annotations", "groupLabels", "commonLabels", "commonAnnotations", "routeLabels"];

/// What is known of a value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Type {
    /// Nothing.
    Any,
    /// A text, a number, yes or no.
    Plain,
    /// Labels, annotations: texts under any name.
    Free,
    Object(Rc<BTreeMap<String, Type>>),
    List(Rc<Type>),
}

/// Why a path leads nowhere.
#[derive(PartialEq, Debug)]
pub(super) enum Nowhere {
    /// The object has no such field.
    Unknown(String),
    /// What stands before is a text or a number; whether it is one of labels.
    Plain(bool),
    /// What stands before is a list.
    List,
}

impl Type {
    fn of(name: &str, value: &Value) -> Self {
        match value {
            Value::Object(_) if FREE.contains(&name) => Self::Free,
            Value::Object(map) => {
                Self::Object(Rc::new(map.iter().map(|(key, value)| (key.clone(), Self::of(key, value))).collect()))
            }
            Value::Array(items) => {
                let item = items.iter().map(|item| Self::of("", item)).reduce(Self::or).unwrap_or(Self::Any);
                Self::List(Rc::new(item))
            }
            Value::Null => Self::Any,
            _ => Self::Plain,
        }
    }

    /// Fields of the one or the other.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Object(a), Self::Object(b)) => {
                let mut all = (*a).clone();
                for (key, value) in b.iter() {
                    let both = all.remove(key).map_or_else(|| value.clone(), |known| known.or(value.clone()));
                    all.insert(key.clone(), both);
                }
                Self::Object(Rc::new(all))
            }
            (Self::List(a), Self::List(b)) => Self::List(Rc::new((*a).clone().or((*b).clone()))),
            (Self::Any, known) | (known, Self::Any) => known,
            (a, _) => a,
        }
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        let map = match self {
            Self::Object(map) => Some(map.keys()),
            _ => None,
        };
        map.into_iter().flatten().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        matches!(self, Self::Object(map) if map.contains_key(name))
    }

    /// What a list holds, or what stands under the names of an object.
    pub(super) fn item(&self) -> Self {
        match self {
            Self::List(item) => (**item).clone(),
            Self::Free => Self::Plain,
            _ => Self::Any,
        }
    }

    /// What stands at a path from here.
    pub(super) fn at(&self, path: &[String]) -> Result<Self, Nowhere> {
        let mut here = self.clone();
        let mut free = false;
        for name in path {
            let next = match &here {
                Self::Any => return Ok(Self::Any),
                Self::Free => Self::Plain,
                Self::Object(map) => map.get(name).cloned().ok_or_else(|| Nowhere::Unknown(name.clone()))?,
                Self::List(item) if name.bytes().all(|b| b.is_ascii_digit()) => (**item).clone(),
                Self::List(_) => return Err(Nowhere::List),
                Self::Plain => return Err(Nowhere::Plain(free)),
            };
            free = here == Self::Free;
            here = next;
        }
        Ok(here)
    }
}

/// What each part of a message begins with.
pub(in crate::render) struct Schema {
    pub(super) message: Type,
    pub(super) alert: Type,
    pub(super) digest: Type,
}

impl Schema {
    /// From the data of a sample message and a sample digest; from nothing, everything may be there.
    pub(in crate::render) fn of(message: &Value, digest: &Value) -> Self {
        let message = Type::of("", message);
        let alert = message.at(&["alerts".to_owned()]).map_or(Type::Any, |alerts| alerts.item());
        Self { message, alert, digest: Type::of("", digest) }
    }

    /// The contexts of a part, the innermost last.
    pub(super) fn frames(&self, part: Part) -> Vec<Type> {
        match part {
            Part::Title | Part::Body => vec![self.message.clone()],
            Part::Alert => vec![self.message.clone(), self.alert.clone()],
            Part::Digest => vec![self.digest.clone()],
        }
    }
}
