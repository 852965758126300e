//! Tests of the `demo` command's page in a real browser.

use serde_json::json;

use crate::harness::browser::Browser;
use crate::harness::demo::Demo;

/// Counts the drawn images of a chat.
const DRAWN: &str = "[...document.querySelectorAll('[data-chat=oncall] .card img')].filter((one) => one.naturalWidth > 0).length";

fn assert_no_errors_and_no_foreign_requests(browser: &mut Browser, demo: &Demo) {
    let own = format!("http://{}/", demo.page);
    let requests = browser.requests();
    assert!(requests.len() > 6, "{requests:?}");
    let foreign: Vec<_> = requests
        .iter()
        .filter(|url| !url.starts_with(&own))
        .collect();
    assert!(foreign.is_empty(), "the page asked elsewhere: {foreign:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn page_draws_cards_and_sends_visitor_actions() {
    let demo = Demo::started();
    let mut browser = Browser::start(1440, 900);
    browser.open(&format!("http://{}{}/", demo.page, demo.key));
    browser.wait_for(&format!("{DRAWN} >= 2"));
    browser.wait_for("document.querySelectorAll('#strip .stage.done').length === 4");
    browser.wait_for("document.querySelector('[data-chat=slack] .blocks img')?.naturalWidth > 0");
    let head =
        browser.eval("getComputedStyle(document.querySelector('.card .head.red')).backgroundColor");
    assert_ne!(head, "rgba(0, 0, 0, 0)", "the style applies");

    // The form: typed text stays text.
    browser.eval(
        "const form = document.getElementById('report'); form.kind.value = 'crash'; \
         form.text.value = 'own words <img src=x onerror=alert(1)> &lt;'; \
         form.requestSubmit(); undefined",
    );
    let card = "[...document.querySelectorAll('[data-chat=oncall] .card')].find((one) => one.innerText.includes('own words <img src=x onerror=alert(1)> &lt;'))";
    browser.wait_for(&format!(
        "!!{card}?.querySelector('img.shot')?.naturalWidth"
    ));
    browser.wait_for("document.getElementById('followed').textContent.includes('own words')");

    // The button of the card.
    browser.eval(&format!("{card}.querySelector('[data-act=claim]').click()"));
    browser.wait_for(&format!(
        "{card}.innerText.includes('处理中') && {card}.innerText.includes('@You')"
    ));
    browser.wait_for("document.getElementById('toast').textContent === 'It is yours'");

    // The editor: an error, and its correction.
    browser.eval("document.getElementById('edit').click(); document.querySelectorAll('.hint')[2].click(); document.getElementById('save').click()");
    browser.wait_for(
        "document.getElementById('complaints').textContent.includes('did you mean \"oncall\"?')",
    );
    browser.eval(
        "document.querySelectorAll('.hint')[3].click(); document.getElementById('save').click()",
    );
    browser.wait_for("document.getElementById('in-force').textContent === 'active'");
    browser.eval("document.getElementById('editor').close()");

    // The switch of a chat's condition.
    browser.eval("const select = document.querySelector('[data-chat=product] select'); select.value = 'fails'; select.onchange({ target: select }); undefined");
    browser.wait_for("document.querySelector('[data-chat=product]').classList.contains('broken')");

    // The storm and the kill: buttons are disabled while they cannot be pressed, and the page says what happens.
    browser.eval("document.getElementById('storm').click()");
    browser.wait_for("document.getElementById('storm').disabled && document.getElementById('progress').value > 0.02");
    browser.eval("document.getElementById('kill').click()");
    browser
        .wait_for("document.getElementById('relay').textContent.includes('started again after')");
    browser.wait_for("document.getElementById('relay').textContent.includes('nothing lost')");
    browser.wait_for("!document.getElementById('kill').disabled");
    browser.wait_for("!!document.querySelector('[data-chat=oncall] .touched .large')");

    browser.eval("document.getElementById('language').click()");
    browser.wait_for("document.documentElement.lang === 'zh-CN' && document.getElementById('try-title').textContent === '接下来试试'");
    assert_eq!(
        browser.eval("document.documentElement.scrollWidth <= innerWidth"),
        true
    );
    assert_no_errors_and_no_foreign_requests(&mut browser, &demo);
}

#[test]
fn phone_shows_one_chat_and_scrolls_only_vertically() {
    let demo = Demo::started();
    let mut browser = Browser::start(390, 844);
    browser.open(&format!("http://{}{}/", demo.page, demo.key));
    browser.wait_for(&format!("{DRAWN} >= 2"));
    for chat in ["shop-feedback", "Data warehouse"] {
        browser.eval(&format!("[...document.querySelectorAll('.tab')].find((one) => one.textContent.includes('{chat}')).click()"));
        browser.wait_for(&format!("[...document.querySelectorAll('.panel')].filter((one) => one.offsetHeight > 0).map((one) => one.innerText.includes('{chat}')).join() === 'true'"));
        // Nothing overflows: neither the page nor a chat.
        assert_eq!(browser.eval("document.documentElement.scrollWidth"), 390);
        let inside = "[...document.querySelectorAll('.panel.current .message')].every((one) => one.getBoundingClientRect().right <= 390)";
        assert_eq!(browser.eval(inside), true, "{chat}");
    }
    let small = "[...document.querySelectorAll('button, select')].filter((one) => one.offsetHeight > 0 && one.offsetHeight < 32).map((one) => one.textContent)";
    assert_eq!(browser.eval(small), json!([]), "too small for a thumb");
    assert_no_errors_and_no_foreign_requests(&mut browser, &demo);
}
