//! One study as a drawing: known results as lines, simulated ones as dots.

use crate::report::text;
use lowgate_sim::medium::known::{Curve, Point, Study};

/// The page's units: the drawing, and what its axes leave to their labels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 62.0;
const BOTTOM: f64 = 48.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = 14.0;
/// Lines across each axis, about.
const TICKS: f64 = 6.0;
/// Colours that the style sheet knows.
const COLOURS: usize = 6;

/// From values to places on an axis.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Over all of `values`, from `from` to `to` in the page's units.
    fn new(values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
        let rough = (high - low) / TICKS;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high, step, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        ((self.from + share * (self.to - self.from)) * 10.0).round() / 10.0
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|nth| self.low + nth as f64 * self.step).collect()
    }

    fn label(&self, value: f64) -> String {
        let decimals = if self.step < 0.1 { 2 } else { usize::from(self.step < 1.0) };
        format!("{value:.decimals$}")
    }
}

/// The drawing with its legend.
pub(super) fn plot(study: &Study) -> String {
    let points = || study.curves.iter().flat_map(|curve| &curve.points);
    let x = Axis::new(points().map(|point| point.x), (LEFT, WIDTH - RIGHT));
    let values = points().flat_map(|point| [point.known, point.simulated]);
    let y = Axis::new(values.chain([0.0]), (HEIGHT - BOTTOM, TOP));
    let curves: String =
        study.curves.iter().enumerate().map(|(nth, it)| curve(it, nth, &x, &y)).collect();
    let legend: String = study
        .curves
        .iter()
        .enumerate()
        .map(|(nth, curve)| {
            format!("<li class=\"curve{}\"><i></i>{}</li>", nth % COLOURS, text(&curve.name))
        })
        .collect();
    format!(
        "<figure class=\"plot\">\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{title}\">\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n{}{curves}</svg></div>\n\
         <ul class=\"legend\">{legend}</ul>\n</figure>\n",
        axes(study, &x, &y),
        title = text(study.title),
    )
}

fn axes(study: &Study, x: &Axis, y: &Axis) -> String {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let down: String = x
        .ticks()
        .iter()
        .map(|value| {
            let at = x.place(*value);
            format!(
                "<path class=\"grid\" d=\"M{at} {TOP}V{bottom}\"/>\
                 <text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                bottom + 16.0,
                x.label(*value)
            )
        })
        .collect();
    let across: String = y
        .ticks()
        .iter()
        .map(|value| {
            let at = y.place(*value);
            format!(
                "<path class=\"grid\" d=\"M{LEFT} {at}H{right}\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 6.0,
                at + 4.0,
                y.label(*value)
            )
        })
        .collect();
    let (middle, height) = ((LEFT + right) / 2.0, f64::midpoint(TOP, bottom));
    format!(
        "{down}{across}<text class=\"axis\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
         <text class=\"axis\" transform=\"translate(14 {height}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
        HEIGHT - 8.0,
        text(study.x),
        text(study.y)
    )
}

fn curve(curve: &Curve, nth: usize, x: &Axis, y: &Axis) -> String {
    let line: Vec<String> = curve
        .points
        .iter()
        .map(|point| format!("{} {}", x.place(point.x), y.place(point.known)))
        .collect();
    let dots: String = curve.points.iter().map(|point| dot(curve, point, x, y)).collect();
    format!(
        "<g class=\"curve{}\"><path class=\"known\" d=\"M{}\"/>{dots}</g>\n",
        nth % COLOURS,
        line.join("L")
    )
}

fn dot(curve: &Curve, point: &Point, x: &Axis, y: &Axis) -> String {
    format!(
        "<circle cx=\"{}\" cy=\"{}\" r=\"3.5\"><title>{} at {:.3}: simulated {:.4}, known {:.4}</title></circle>",
        x.place(point.x),
        y.place(point.simulated),
        text(&curve.name),
        point.x,
        point.simulated,
        point.known
    )
}
