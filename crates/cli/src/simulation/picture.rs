//! Pictures of the runs: how they ended, and how soon harm was stopped.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use notation::{duration, percent};
use simulate::Summary;

use super::Answer;
use super::show::bare;

const WIDTH: f64 = 900.0;
/// Room for names at the left, at least, and for each of their letters; and for figures at the right.
const LEFT: f64 = 120.0;
const LETTER: f64 = 7.6;
const RIGHT: f64 = 250.0;
const ROW: f64 = 34.0;
const TOP: f64 = 76.0;
/// Promoted, rolled back, held. Told apart also by those who see no red.
const ENDS: [(&str, &str); 3] = [("promoted", "#3b7dbd"), ("rolled back", "#d9662c"), ("held", "#b9b9b9")];
/// One for each harm, and again from the start.
const LINES: [&str; 6] = ["#d9662c", "#7a3e9d", "#2a8f6d", "#b8336a", "#8a6d1d", "#3b7dbd"];

/// Writes the pictures and returns their paths.
pub fn write(answer: &Answer, directory: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("{} cannot be made; name a directory that can", directory.display()))?;
    let pictures = [("ends.svg", ends(answer)), ("stops.svg", stops(answer))];
    let mut written = Vec::new();
    for (name, svg) in pictures {
        let path = directory.join(name);
        std::fs::write(&path, svg).with_context(|| format!("{} cannot be written", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

fn head(height: f64, title: &str, subtitle: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    words(&mut svg, 16.0, 26.0, "start", "16", title);
    words(&mut svg, 16.0, 46.0, "start", "12", subtitle);
    svg
}

fn words(svg: &mut String, x: f64, y: f64, anchor: &str, size: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"#222\">{text}</text>"
    );
}

fn subtitle(answer: &Answer) -> String {
    format!("{} runs of each world, seed {}, a look every {} ms", answer.runs, answer.seed, answer.every_ms)
}

/// One bar a world: the shares of its ends, with the interval of the share that was stopped.
fn ends(answer: &Answer) -> String {
    #[allow(clippy::cast_precision_loss)] // a handful of worlds
    let height = TOP + ROW * answer.worlds.len() as f64 + 56.0;
    let mut svg = head(height, &format!("How rollouts of {} end", answer.rollout), &subtitle(answer));
    let longest = answer.worlds.iter().map(|world| world.world.chars().count()).max().unwrap_or(0);
    #[allow(clippy::cast_precision_loss)] // letters of a name
    let left = (20.0 + LETTER * longest as f64).clamp(LEFT, WIDTH / 2.0);
    let scale = WIDTH - left - RIGHT;
    for (row, world) in answer.worlds.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)] // a handful of worlds
        let y = TOP + ROW * row as f64;
        words(&mut svg, left - 10.0, y + 16.0, "end", "13", &world.world);
        let mut x = left;
        for ((_, colour), share) in ENDS.iter().zip([&world.promoted, &world.rolled_back, &world.held]) {
            let width = scale * share.share;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"22\" fill=\"{colour}\"/>"
            );
            x += width;
        }
        let (lo, hi) = (left + scale * world.promoted.lo, left + scale * world.promoted.hi);
        let middle = y + 11.0;
        let _ = writeln!(
            svg,
            "<path d=\"M{lo:.2} {middle:.1}H{hi:.2}M{lo:.2} {:.1}v8M{hi:.2} {:.1}v8\" stroke=\"#111\" \
             stroke-width=\"1.4\" fill=\"none\"/>",
            middle - 4.0,
            middle - 4.0
        );
        let figure = format!(
            "promoted {} % [{}, {}]",
            bare(world.promoted.share),
            bare(world.promoted.lo),
            bare(world.promoted.hi)
        );
        words(&mut svg, WIDTH - RIGHT + 12.0, y + 16.0, "start", "12", &figure);
    }
    let y = height - 22.0;
    let mut x = left;
    for (name, colour) in ENDS {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"14\" fill=\"{colour}\"/>",
            y - 12.0
        );
        words(&mut svg, x + 20.0, y, "start", "12", name);
        x += 110.0;
    }
    words(&mut svg, x, y, "start", "12", "whiskers: 95 % interval of promoted");
    svg + "</svg>\n"
}

/// How many of the harmful canaries were stopped by a time.
fn stops(answer: &Answer) -> String {
    let worlds: Vec<&Summary> = answer.worlds.iter().filter(|world| !world.healthy).collect();
    let height = 470.0;
    let title = format!("How soon {} stops a harmful canary", answer.rollout);
    let mut svg = head(height, &title, &subtitle(answer));
    let (left, right, top, bottom) = (64.0, WIDTH - RIGHT, TOP, height - 56.0);
    let all: Vec<f64> = worlds.iter().flat_map(|world| world.stops.iter().copied()).collect();
    let first = all.iter().copied().fold(f64::INFINITY, f64::min).clamp(1.0, 1e9);
    let last = all.iter().copied().fold(first * 2.0, f64::max);
    let x = |seconds: f64| {
        let part = (seconds.max(first) / first).ln() / (last / first).ln();
        left + (right - left) * part
    };
    let y = |share: f64| bottom - (bottom - top) * share;
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let _ =
            writeln!(svg, "<path d=\"M{left} {0:.1}H{right}\" stroke=\"#e2e2e2\" fill=\"none\"/>", y(share));
        words(&mut svg, left - 8.0, y(share) + 4.0, "end", "12", &percent(share, 1));
    }
    let ticks =
        [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0];
    for tick in ticks.into_iter().filter(|tick| (first..=last).contains(tick)) {
        let _ = writeln!(svg, "<path d=\"M{0:.1} {bottom}v5\" stroke=\"#222\"/>", x(tick));
        words(&mut svg, x(tick), bottom + 20.0, "middle", "12", &duration(tick));
    }
    words(&mut svg, (left + right) / 2.0, bottom + 42.0, "middle", "12", "time since the harm began");
    for (row, (world, colour)) in worlds.iter().zip(LINES.iter().cycle()).enumerate() {
        #[allow(clippy::cast_precision_loss)] // runs
        let share = |stopped: usize| stopped as f64 / world.runs as f64;
        let mut path = format!("M{:.1} {bottom:.1}", x(first));
        for (at, seconds) in world.stops.iter().enumerate() {
            let _ = write!(path, "H{:.1}V{:.1}", x(*seconds), y(share(at + 1)));
        }
        let _ = writeln!(
            svg,
            "<path d=\"{path}H{right}\" stroke=\"{colour}\" stroke-width=\"2\" fill=\"none\"/>"
        );
        #[allow(clippy::cast_precision_loss)] // a handful of worlds
        let key = top + 10.0 + 40.0 * row as f64;
        let _ = writeln!(
            svg,
            "<path d=\"M{0:.1} {key:.1}h22\" stroke=\"{colour}\" stroke-width=\"3\"/>",
            right + 14.0
        );
        words(&mut svg, right + 42.0, key + 4.0, "start", "13", &world.world);
        let median = world.seconds_to_stop.as_ref().map_or("never".to_owned(), |s| duration(s.median));
        let figure = format!("{} stopped, median {median}", percent(world.stopped.share, 1));
        words(&mut svg, right + 42.0, key + 20.0, "start", "11", &figure);
    }
    svg + "</svg>\n"
}
