//! Line and bar drawings as SVG: axes, ticks, a legend, nothing else.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 56.0;
/// Okabe and Ito's palette, which colour-blind readers can tell apart.
const COLOURS: [&str; 8] = ["#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777", "#000000"];

/// Lines over categories that stand side by side at equal distances.
pub struct Lines<'a> {
    pub title: &'a str,
    pub x_label: &'a str,
    pub y_label: &'a str,
    pub x: Vec<String>,
    /// Name and a value for each x, where there is one.
    pub series: Vec<(String, Vec<Option<f64>>)>,
    pub is_log: bool,
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn open(out: &mut String, title: &str, height: f64) {
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escape(title)
    );
}

/// A number as short as it may be.
pub fn short(value: f64) -> String {
    match value {
        v if v >= 10_000_000.0 => format!("{:.0}M", v / 1e6),
        v if v >= 1_000_000.0 => format!("{:.1}M", v / 1e6),
        v if v >= 10_000.0 => format!("{:.0}k", v / 1e3),
        v if v >= 1_000.0 => format!("{:.1}k", v / 1e3),
        v if v >= 10.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// Where lines across the drawing are useful, in rising order.
fn ticks(low: f64, high: f64, is_log: bool) -> Vec<f64> {
    if is_log {
        let first = low.log10().floor() as i32;
        let last = (high.log10().ceil() as i32).max(first + 1);
        return (first..=last).map(|power| 10_f64.powi(power)).collect();
    }
    let rough = (high / 5.0).max(1e-9);
    let base = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|n| n * base).find(|step| *step >= rough).unwrap_or(base);
    (0..=(high / step).ceil() as u32).map(|n| f64::from(n) * step).collect()
}

impl Lines<'_> {
    pub fn draw(&self) -> String {
        let mut out = String::new();
        open(&mut out, self.title, HEIGHT);
        let values = || self.series.iter().flat_map(|(_, values)| values.iter().flatten().copied());
        let (low, high) = values().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let ticks = ticks(low, high, self.is_log);
        let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
        let scale = |v: f64| if self.is_log { v.log10() } else { v };
        let y_of = |v: f64| {
            HEIGHT - BOTTOM - (scale(v) - scale(first)) / (scale(last) - scale(first)) * (HEIGHT - TOP - BOTTOM)
        };
        let step = (WIDTH - LEFT - RIGHT) / self.x.len().saturating_sub(1).max(1) as f64;
        for tick in &ticks {
            let y = y_of(*tick);
            let _ = writeln!(
                out,
                "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                short(*tick)
            );
        }
        for (i, x) in self.x.iter().enumerate() {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                LEFT + step * i as f64,
                HEIGHT - BOTTOM + 18.0,
                escape(x)
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text><text transform=\"translate(18 {:.0}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 14.0,
            escape(self.x_label),
            (HEIGHT + TOP - BOTTOM) / 2.0,
            escape(self.y_label)
        );
        for (i, (name, values)) in self.series.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let width = if i == 0 { 3.0 } else { 1.8 };
            let points: Vec<_> =
                values.iter().enumerate().filter_map(|(x, v)| Some((LEFT + step * x as f64, y_of((*v)?)))).collect();
            let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
                path.join(" ")
            );
            for (x, y) in points {
                let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
            let y = TOP + 18.0 * i as f64 + 8.0;
            let _ = writeln!(
                out,
                "<rect x=\"{:.0}\" y=\"{:.0}\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
                WIDTH - RIGHT + 16.0,
                y - 10.0,
                WIDTH - RIGHT + 34.0,
                y,
                escape(name)
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Horizontal bars on a logarithmic axis around 1: to the right, better. What leaves the axis is cut, its number is not.
pub fn ratio_bars(title: &str, bars: &[(String, f64)]) -> String {
    const LABELS: f64 = 340.0;
    const RANGE: (f64, f64) = (0.03, 100.0);
    let bottom = 48.0 + 20.0 * bars.len() as f64;
    let mut out = String::new();
    open(&mut out, title, bottom + 44.0);
    let x_of = |v: f64| {
        let share = (v.clamp(RANGE.0, RANGE.1) / RANGE.0).ln() / (RANGE.1 / RANGE.0).ln();
        LABELS + share * (WIDTH - LABELS - 60.0)
    };
    for tick in [0.1, 1.0, 10.0, 100.0] {
        let (x, colour) = (x_of(tick), if tick == 1.0 { "#000000" } else { "#dddddd" });
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"38\" y2=\"{bottom:.0}\" stroke=\"{colour}\"/><text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{tick}</text>",
            bottom + 16.0
        );
    }
    for (i, (name, value)) in bars.iter().enumerate() {
        let y = 44.0 + 20.0 * i as f64;
        let (from, to) = (x_of(1.0).min(x_of(*value)), x_of(1.0).max(x_of(*value)));
        let colour = if *value >= 1.0 { COLOURS[2] } else { COLOURS[0] };
        let number = if *value < 0.1 { format!("{value:.3}") } else { format!("{value:.2}") };
        let _ = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text><rect x=\"{from:.1}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"14\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.0}\">{number}</text>",
            LABELS - 8.0,
            y + 11.0,
            escape(name),
            (to - from).max(1.0),
            to + 5.0,
            y + 11.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">how many times better Larder is</text>\n</svg>",
        x_of(1.0),
        bottom + 34.0
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_enclose_what_is_drawn() {
        for (low, high, is_log) in [(3.0, 4_700.0, true), (10.0, 1_000.0, true), (0.0, 37.0, false)] {
            let ticks = ticks(low, high, is_log);
            assert!(ticks[0] <= low && ticks[ticks.len() - 1] >= high && ticks.len() > 2, "{ticks:?}");
        }
    }

    #[test]
    fn better_is_green_and_to_the_right() {
        let svg = ratio_bars("a < b", &[("more".into(), 4.0), ("less".into(), 0.001)]);
        assert!(svg.contains("a &lt; b") && svg.contains(">4.00<") && svg.contains(">0.001<"), "{svg}");
        assert_eq!((svg.matches(COLOURS[2]).count(), svg.matches(COLOURS[0]).count()), (1, 1));
    }
}
