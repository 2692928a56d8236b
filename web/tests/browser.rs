//! Access to the browser, in a real one.
#![cfg(target_arch = "wasm32")]

use rides_web::browser;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// PROXY-3
#[wasm_bindgen_test]
fn calls_go_below_the_base_that_the_document_names() {
    let root = browser::document().document_element().expect("a document");
    for (base, expected) in [("http://host/", "http://host"), ("http://host/a/b/", "http://host/a/b")] {
        root.set_attribute("data-base", base).expect("an attribute");
        assert_eq!(browser::base(), expected);
    }
    root.remove_attribute("data-base").expect("an attribute");
    assert_eq!(browser::base(), "", "without the attribute the base is the root of the origin");
}
