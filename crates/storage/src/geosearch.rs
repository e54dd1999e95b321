//! Which scores GEOSEARCH and GEORADIUS have to look at: the cell of the centre and its eight neighbours, on
//! the finest grid on which these cover the shape. Knows no sorted sets.
//!
//! The cells come in the order in which Redis visits them, since an unsorted search replies in it:
//!
//! ```text
//!     6 1 5      0 centre
//!     4 0 3
//!     8 2 7
//! ```
//!
//! Source: the answers of Redis 7.0.15, order included.

use crate::geo::{Area, Cell, EARTH_RADIUS_M, LATITUDE_LIMIT, MAX_STEP, Point, Shape, degrees, radians};

/// Half the length of the equator on the Web Mercator map, in metres.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

/// Columns east and rows north of the centre, in the order drawn at the top.
const NEIGHBOURS: [(i32, i32); 9] = [
    (0, 0),
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
];

/// Scores from `min` up to but not including `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRange {
    /// First score.
    pub min: f64,
    /// First score behind the range.
    pub max: f64,
}

/// Returns the ranges of scores in which all points of `shape` around `centre` lie, and others besides: the
/// caller filters with [`Shape::distance_within`]. The ranges do not overlap.
pub fn ranges(shape: Shape, centre: Point) -> Vec<ScoreRange> {
    let bounds = bounding_box(shape, centre);
    let radius = match shape {
        Shape::Radius { metres } => metres,
        Shape::Box { width_m, height_m } => (width_m * width_m / 4.0 + height_m * height_m / 4.0).sqrt(),
    };
    let mut step = estimate_step(radius, centre.latitude);
    if step > 1 && !covers(Cell::at(centre, step, LATITUDE_LIMIT), bounds) {
        step -= 1;
    }
    let cell = Cell::at(centre, step, LATITUDE_LIMIT);
    let area = cell.area();
    // What the centre's own cell covers on a side needs no neighbours there. On the coarsest grid the
    // neighbours on both sides are one.
    let needed = |(east, north): (i32, i32)| {
        step == 1
            || !((north < 0 && area.latitude.0 < bounds.latitude.0)
                || (north > 0 && area.latitude.1 > bounds.latitude.1)
                || (east < 0 && area.longitude.0 < bounds.longitude.0)
                || (east > 0 && area.longitude.1 > bounds.longitude.1))
    };
    let mut cells = Vec::with_capacity(NEIGHBOURS.len());
    for (east, north) in NEIGHBOURS.into_iter().filter(|&side| needed(side)) {
        let cell = if (east, north) == (0, 0) {
            cell
        } else {
            cell.moved(east, north)
        };
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells.into_iter().map(score_range).collect()
}

/// Most cells that a box is divided into.
const BOX_CELLS: u64 = 16;

/// Returns the ranges of scores in which all points of a box lie, given its corners in the south-west and the
/// north-east, and others besides. The ranges do not overlap.
pub fn ranges_of_box(low: Point, high: Point) -> Vec<ScoreRange> {
    let corners = |step| {
        (
            Cell::at(low, step, LATITUDE_LIMIT),
            Cell::at(high, step, LATITUDE_LIMIT),
        )
    };
    let span = |from: u32, to: u32| u64::from(to.saturating_sub(from)) + 1;
    let cells = |step| {
        let (low, high) = corners(step);
        span(low.lon, high.lon).saturating_mul(span(low.lat, high.lat))
    };
    // The finest grid on which the box takes few cells; on the coarsest there are only few.
    let step = (1..=MAX_STEP)
        .rev()
        .find(|step| cells(*step) <= BOX_CELLS)
        .unwrap_or(1);
    let (low, high) = corners(step);
    // On the very edge of the map a corner lies beyond the last cell, where no point is.
    let last = (1u32 << step) - 1;
    (low.lat.min(last)..=high.lat.min(last))
        .flat_map(|lat| (low.lon.min(last)..=high.lon.min(last)).map(move |lon| Cell { lon, lat, step }))
        .map(score_range)
        .collect()
}

fn score_range(cell: Cell) -> ScoreRange {
    let shift = 2 * (MAX_STEP - cell.step);
    let bits = cell.bits();
    ScoreRange {
        min: (bits << shift) as f64,
        max: ((bits + 1) << shift) as f64,
    }
}

/// The least box along the axes that holds the shape, in degrees. It may reach beyond the map.
fn bounding_box(shape: Shape, centre: Point) -> Area {
    let (east_m, north_m) = match shape {
        Shape::Radius { metres } => (metres, metres),
        Shape::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
    };
    let lat = degrees(north_m / EARTH_RADIUS_M);
    // The edge nearer to the pole spans more degrees.
    let widest = if centre.latitude < 0.0 {
        centre.latitude - lat
    } else {
        centre.latitude + lat
    };
    let lon = degrees(east_m / EARTH_RADIUS_M / radians(widest).cos());
    Area {
        longitude: (centre.longitude - lon, centre.longitude + lon),
        latitude: (centre.latitude - lat, centre.latitude + lat),
    }
}

/// The finest grid whose cells are about as large as the radius; coarser near the poles, where cells are narrow.
fn estimate_step(radius_m: f64, latitude: f64) -> u32 {
    if radius_m == 0.0 {
        return MAX_STEP;
    }
    let mut range = radius_m;
    let mut step = 1i32;
    while range < MERCATOR_MAX_M {
        range *= 2.0;
        step += 1;
    }
    // Two coarser, so that nine cells cover the shape in most cases.
    step -= 2;
    if latitude.abs() > 66.0 {
        step -= 1;
        if latitude.abs() > 80.0 {
            step -= 1;
        }
    }
    step.clamp(1, MAX_STEP as i32) as u32
}

/// Tells whether the cell's neighbours reach as far as the box on all sides.
fn covers(cell: Cell, bounds: Area) -> bool {
    cell.moved(0, 1).area().latitude.1 >= bounds.latitude.1
        && cell.moved(0, -1).area().latitude.0 <= bounds.latitude.0
        && cell.moved(1, 0).area().longitude.1 >= bounds.longitude.1
        && cell.moved(-1, 0).area().longitude.0 <= bounds.longitude.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(ranges: &[ScoreRange], score: f64) -> bool {
        ranges.iter().any(|range| (range.min..range.max).contains(&score))
    }

    #[test]
    fn extremes() {
        let centre = Point::new(0.0, 0.0).unwrap();
        assert_eq!(ranges(Shape::Radius { metres: 1e9 }, centre).len(), 4);
        assert!(!ranges(Shape::Radius { metres: 0.0 }, centre).is_empty());
        assert!(!ranges(Shape::Radius { metres: 1e-300 }, centre).is_empty());
        let corner = Point::new(180.0, LATITUDE_LIMIT).unwrap();
        assert!(
            !ranges(
                Shape::Box {
                    width_m: 1.0,
                    height_m: 1e6
                },
                corner
            )
            .is_empty()
        );
    }

    proptest! {
        /// Away from the poles and the map's edge, nothing within the shape is missed.
        #[test]
        fn every_point_of_the_shape_is_in_range(
            longitude in -120.0..120.0f64,
            latitude in -60.0..60.0f64,
            metres in 1.0..500_000f64,
            east in -1.0..1.0f64,
            north in -1.0..1.0f64,
            square: bool,
        ) {
            let centre = Point { longitude, latitude };
            let shape = if square {
                Shape::Box { width_m: 2.0 * metres, height_m: metres }
            } else {
                Shape::Radius { metres }
            };
            let degree_m = radians(1.0) * EARTH_RADIUS_M;
            let point = Point {
                longitude: longitude + east * metres / degree_m / radians(latitude).cos(),
                latitude: latitude + north * metres / degree_m,
            };
            if shape.distance_within(centre, Point::from_score(point.score())).is_some() {
                prop_assert!(holds(&ranges(shape, centre), point.score()));
            }
        }

        #[test]
        fn every_point_of_a_box_is_in_range(
            (west, east) in (-180.0..=180.0f64, -180.0..=180.0f64),
            (south, north) in (-85.05..=85.05f64, -85.05..=85.05f64),
            x in 0.0..=1.0f64,
            y in 0.0..=1.0f64,
            shrink in prop::sample::select(vec![1.0, 1e-3, 1e-9]),
        ) {
            let point = |longitude, latitude| Point { longitude, latitude };
            let low = point(west.min(east), south.min(north));
            let high = point(
                low.longitude + (west - east).abs() * shrink,
                low.latitude + (south - north).abs() * shrink,
            );
            let inside = point(
                low.longitude + (high.longitude - low.longitude) * x,
                low.latitude + (high.latitude - low.latitude) * y,
            );
            let mut all = ranges_of_box(low, high);
            prop_assert!(holds(&all, inside.score()));
            prop_assert!(all.len() as u64 <= BOX_CELLS);
            all.sort_by(|a, b| a.min.total_cmp(&b.min));
            prop_assert!(all.windows(2).all(|pair| pair[0].max <= pair[1].min));
        }

        #[test]
        fn ranges_do_not_overlap(
            longitude in -180.0..180.0f64,
            latitude in -85.05..85.05f64,
            metres in 0.0..3e7f64,
        ) {
            let mut all = ranges(Shape::Radius { metres }, Point { longitude, latitude });
            prop_assert!(!all.is_empty() && all.len() <= 9);
            all.sort_by(|a, b| a.min.total_cmp(&b.min));
            prop_assert!(all.windows(2).all(|pair| pair[0].max <= pair[1].min));
        }
    }
}
