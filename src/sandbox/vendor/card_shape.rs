//! What Feishu's cards are made of: components, their properties, colours.
//!
//! Properties per component follow the vendor's card JSON 2.0 component pages.

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
