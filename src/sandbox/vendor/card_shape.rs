//! What Feishu's cards are made of: components, their properties, colours.
//!
//! Properties per component follow the vendor's card JSON 2.0 component pages.

use serde_json::Value;

/// Colours of a card's head.
pub(super) const TEMPLATES: [&str; 13] = [
    "blue",
    "wathet",
    "turquoise",
    "green",
    "yellow",
    "orange",
    "red",
    "carmine",
    "violet",
    "purple",
    "indigo",
    "grey",
    "default",
];

/// Components of card 1.0 that are gone in 2.0.
pub(super) const ONLY_V1: [&str; 2] = ["note", "action"];

/// The properties that each component of 2.0 knows, beside `tag`, `element_id` and `margin`.
/// `None`: not a component. Components that a webhook bot has no use for (they call back) are checked by tag only.
pub(super) fn properties(tag: &str) -> Option<&'static [&'static str]> {
    Some(match tag {
        "markdown" => &["content", "text_size", "text_align", "icon", "i18n_content"],
        "div" => &["text", "icon", "width", "fields"],
        "hr" => &[],
        "button" => &[
            "text",
            "type",
            "size",
            "width",
            "behaviors",
            "icon",
            "hover_tips",
            "disabled",
            "disabled_tips",
            "confirm",
            "name",
            "required",
            "form_action_type",
        ],
        "collapsible_panel" => &[
            "header",
            "elements",
            "expanded",
            "background_color",
            "border",
            "direction",
            "vertical_spacing",
            "horizontal_spacing",
            "vertical_align",
            "horizontal_align",
            "padding",
        ],
        "column_set" => {
            &["columns", "flex_mode", "horizontal_spacing", "horizontal_align", "background_style", "action"]
        }
        "column" => &[
            "elements",
            "width",
            "weight",
            "vertical_align",
            "horizontal_align",
            "direction",
            "horizontal_spacing",
            "vertical_spacing",
            "padding",
            "background_style",
            "action",
        ],
        "img" => &[
            "img_key",
            "alt",
            "title",
            "scale_type",
            "size",
            "corner_radius",
            "transparent",
            "preview",
            "i18n_img_key",
        ],
        "interactive_container" => &[
            "elements",
            "behaviors",
            "width",
            "height",
            "direction",
            "horizontal_align",
            "vertical_align",
            "horizontal_spacing",
            "vertical_spacing",
            "background_style",
            "has_border",
            "border_color",
            "corner_radius",
            "padding",
            "disabled",
            "disabled_tips",
            "hover_tips",
            "confirm",
        ],
        "table" => {
            &["columns", "rows", "page_size", "row_height", "row_max_height", "freeze_first_column", "header_style"]
        }
        "form"
        | "img_combination"
        | "person"
        | "person_list"
        | "chart"
        | "input"
        | "overflow"
        | "select_static"
        | "multi_select_static"
        | "select_person"
        | "multi_select_person"
        | "date_picker"
        | "picker_time"
        | "picker_datetime"
        | "select_img"
        | "checker"
        | "audio" => &["*"],
        _ => return None,
    })
}

/// What a property may hold, where the vendor's pages list it.
pub(super) enum Holds {
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these words, or whole pixels as in `12px`.
    WordsOrPixels(&'static [&'static str]),
    /// A whole number in these bounds.
    Number(i64, i64),
}

impl Holds {
    pub(super) fn takes(&self, value: &Value) -> bool {
        let word = |words: &[&str]| value.as_str().is_some_and(|word| words.contains(&word));
        let pixels = || value.as_str().and_then(|text| text.strip_suffix("px")?.parse::<u16>().ok()).is_some();
        match self {
            Self::Words(words) => word(words),
            Self::WordsOrPixels(words) => word(words) || pixels(),
            Self::Number(least, most) => value.as_i64().is_some_and(|number| (*least..=*most).contains(&number)),
        }
    }
}

const SPACING: Holds = Holds::WordsOrPixels(&["default", "small", "medium", "large", "extra_large"]);
const LEVEL: Holds = Holds::Words(&["left", "center", "right"]);
const UPRIGHT: Holds = Holds::Words(&["top", "center", "bottom"]);

/// The properties of a component whose values are listed.
pub(super) fn values(tag: &str) -> &'static [(&'static str, Holds)] {
    match tag {
        "button" => &[
            (
                "type",
                Holds::Words(&[
                    "default",
                    "primary",
                    "danger",
                    "text",
                    "primary_text",
                    "danger_text",
                    "primary_filled",
                    "danger_filled",
                    "laser",
                ]),
            ),
            ("size", Holds::Words(&["tiny", "small", "medium", "large"])),
            ("width", Holds::WordsOrPixels(&["default", "fill"])),
        ],
        "column_set" => &[
            ("flex_mode", Holds::Words(&["none", "stretch", "flow", "bisect", "trisect"])),
            ("horizontal_spacing", SPACING),
            ("horizontal_align", LEVEL),
        ],
        "column" => &[
            ("width", Holds::WordsOrPixels(&["auto", "weighted"])),
            ("weight", Holds::Number(1, 5)),
            ("vertical_align", UPRIGHT),
            ("horizontal_align", LEVEL),
            ("vertical_spacing", SPACING),
            ("horizontal_spacing", SPACING),
            ("direction", Holds::Words(&["vertical", "horizontal"])),
        ],
        "markdown" => &[("text_align", LEVEL)],
        _ => &[],
    }
}
