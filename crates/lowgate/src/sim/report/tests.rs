//! The page says what the studies say, and nothing in it is a request or a number that is none.

use super::*;
use lowgate_sim::medium::known::Point;

fn study(simulated: f64) -> Study {
    let point = |x: f64| Point { x, known: x / 10.0, simulated: simulated * x / 10.0 };
    Study {
        title: "Frames <lost>",
        source: "Somebody & somebody: a result, 1975",
        setting: "Two stations",
        x: "load",
        y: "loss",
        curves: vec![Curve { name: "2 \"stations\"".into(), points: vec![point(1.0), point(5.0)] }],
        deviation_max: 0.02,
        relative_deviation_max: Some(0.1),
    }
}

#[test]
fn what_holds_and_what_does_not_is_told_apart() {
    let sound = page(&[study(1.01)]);
    assert!(sound.contains("All 1 checks held") && sound.contains("off by at most 0.0050"));
    let wrong = page(&[study(1.01), study(1.5)]);
    assert!(wrong.contains("1 of 2 checks failed") && wrong.contains("off by at most 0.2500"));
    let mut told = Vec::new();
    tell(&[study(1.5)], &mut told).expect("memory");
    let told = String::from_utf8(told).expect("text");
    assert!(
        told.contains(
            "0.2500, accepted 0.02; by at most 50.0 % of the value, accepted 10 %: FAILED"
        ) && told.contains("50.0 %"),
        "{told}"
    );
}

#[test]
fn every_point_is_drawn_and_every_text_escaped() {
    let page = page(&[study(1.0)]);
    assert_eq!(page.matches("<circle").count(), 2);
    assert_eq!(page.matches("class=\"known\"").count(), 1);
    assert!(page.contains("Frames &lt;lost&gt;") && page.contains("2 &quot;stations&quot;"));
    // What a page refers to within itself is no request.
    let page = page.replace("url(#", "");
    for absent in ["NaN", "inf", "http:", "https:", "url(", "<script", "Frames <lost>"] {
        assert!(!page.contains(absent), "{absent}");
    }
}

#[test]
fn curves_without_points_are_drawn_without_nonsense() {
    let mut study = study(1.0);
    study.curves[0].points.clear();
    assert!(!page(&[study]).contains("NaN"));
}
