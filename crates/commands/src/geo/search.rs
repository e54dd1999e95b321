//! What a search asks for, as it is written in GEOSEARCH and in GEORADIUS, and what it finds.
//!
//! Must not know: replies, destinations.

use holdfast_storage::encoding::listpack::Item;
use holdfast_storage::geo::{Point, Polygon, Shape, Unit};
use holdfast_storage::geosearch;
use holdfast_storage::types::zset::{ScoreRange, Zset};

use super::words;
use crate::args::{Args, Cursor};
use crate::error::CmdError;

/// Which command asks: the words differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// GEORADIUS: longitude, latitude and radius stand first.
    Radius {
        /// STORE and STOREDIST are allowed.
        store: bool,
    },
    /// GEORADIUSBYMEMBER: member and radius stand first.
    ByMember {
        /// STORE and STOREDIST are allowed.
        store: bool,
    },
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE: the destination stands before the key.
    SearchStore,
}

impl Asker {
    /// Index of the key that is searched.
    pub fn key_at(self) -> usize {
        match self {
            Self::Radius { .. } | Self::ByMember { .. } | Self::Search => 1,
            Self::SearchStore => 2,
        }
    }

    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(
            self,
            Self::Radius { store: true } | Self::ByMember { store: true }
        )
    }
}

/// In which order members are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// As they are met.
    None,
    Nearest,
    Farthest,
}

/// Where a search begins.
#[derive(Clone, Copy, Debug)]
enum Centre {
    At(Point),
    /// A member of a set that does not exist: nothing will be found.
    Nowhere,
}

/// The area of a search.
#[derive(Clone, Debug)]
enum Area {
    /// Around the centre.
    Around(Shape),
    /// Anywhere; its centre is its own.
    Polygon(Polygon),
}

impl Area {
    /// Scores of everything inside, and of more.
    fn ranges(&self, centre: Point) -> Vec<geosearch::ScoreRange> {
        match self {
            Self::Around(shape) => geosearch::ranges(*shape, centre),
            Self::Polygon(polygon) => {
                let (low, high) = polygon.bounds();
                geosearch::ranges_of_box(low, high)
            }
        }
    }

    /// How far a point is from the centre, in metres, if it lies inside.
    fn distance_within(&self, centre: Point, point: Point) -> Option<f64> {
        match self {
            Self::Around(shape) => shape.distance_within(centre, point),
            Self::Polygon(polygon) => polygon.contains(point).then(|| centre.distance_m(point)),
        }
    }
}

/// A search.
#[derive(Clone, Debug)]
pub(super) struct Search<'a> {
    centre: Option<Centre>,
    area: Option<Area>,
    /// In which distances are shown.
    pub unit: Unit,
    sort: Sort,
    count: Option<usize>,
    any: bool,
    /// Show distances.
    pub with_dist: bool,
    /// Show scores.
    pub with_hash: bool,
    /// Show coordinates.
    pub with_coord: bool,
    /// Where the result is stored, if it is.
    pub destination: Option<&'a [u8]>,
    /// Store distances, not places.
    pub store_dist: bool,
}

/// A member that was found.
#[derive(Clone, Debug)]
pub(super) struct Hit<'s> {
    /// The member.
    pub member: Item<'s>,
    /// Its score.
    pub score: f64,
    /// Where it is.
    pub point: Point,
    /// How far from the centre, in metres.
    pub metres: f64,
}

impl<'a> Search<'a> {
    /// Reads a command that searches `set`.
    pub fn parse(args: Args<'a>, asker: Asker, set: Option<&Zset>) -> Result<Self, CmdError> {
        let mut search = Self {
            centre: None,
            area: None,
            unit: Unit::Metres,
            sort: Sort::None,
            count: None,
            any: false,
            with_dist: false,
            with_hash: false,
            with_coord: false,
            destination: None,
            store_dist: false,
        };
        let base = match asker {
            Asker::Radius { .. } => {
                search.centre = Some(Centre::At(words::point(args.get(2), args.get(3))?));
                search.circle(args.get(4), args.get(5))?;
                6
            }
            Asker::ByMember { .. } => {
                search.centre = Some(centre_of(set, args.get(2))?);
                // Redis does not look at the radius if there is no set.
                if set.is_some() {
                    search.circle(args.get(3), args.get(4))?;
                }
                5
            }
            Asker::Search => 2,
            Asker::SearchStore => {
                search.destination = Some(args.get(1));
                3
            }
        };
        search.options(args.cursor(base), asker, set)?;
        search.check(args.get(0), asker)?;
        Ok(search)
    }

    fn circle(&mut self, radius: &[u8], unit: &[u8]) -> Result<(), CmdError> {
        let (shape, unit) = words::circle(radius, unit)?;
        (self.area, self.unit) = (Some(Area::Around(shape)), unit);
        Ok(())
    }

    fn options(&mut self, mut rest: Cursor<'a>, asker: Asker, set: Option<&Zset>) -> Result<(), CmdError> {
        // Of two words that exclude each other, the second is not understood; the same word may be repeated.
        let (mut from_member, mut from_point, mut radius, mut rectangle) = (false, false, false, false);
        let mut polygon = false;
        while rest.left() > 0 {
            let left = rest.left() - 1;
            if rest.accept("WITHDIST") {
                self.with_dist = true;
            } else if rest.accept("WITHHASH") {
                self.with_hash = true;
            } else if rest.accept("WITHCOORD") {
                self.with_coord = true;
            } else if rest.accept("ANY") {
                self.any = true;
            } else if rest.accept("ASC") {
                self.sort = Sort::Nearest;
            } else if rest.accept("DESC") {
                self.sort = Sort::Farthest;
            } else if left >= 1 && rest.accept("COUNT") {
                let count = rest.int()?;
                if count <= 0 {
                    return Err(CmdError::msg("ERR COUNT must be > 0"));
                }
                self.count = Some(usize::try_from(count).unwrap_or(usize::MAX));
            } else if left >= 1 && asker.may_store() && rest.accept("STORE") {
                (self.destination, self.store_dist) = (Some(rest.word()?), false);
            } else if left >= 1 && asker.may_store() && rest.accept("STOREDIST") {
                (self.destination, self.store_dist) = (Some(rest.word()?), true);
            } else if asker.is_search() && left >= 1 && !from_point && !polygon && rest.accept("FROMMEMBER") {
                self.centre = Some(centre_of(set, rest.word()?)?);
                from_member = true;
            } else if asker.is_search() && left >= 2 && !from_member && !polygon && rest.accept("FROMLONLAT")
            {
                self.centre = Some(Centre::At(words::point(rest.word()?, rest.word()?)?));
                from_point = true;
            } else if asker.is_search() && left >= 2 && !rectangle && !polygon && rest.accept("BYRADIUS") {
                self.circle(rest.word()?, rest.word()?)?;
                radius = true;
            } else if asker.is_search() && left >= 3 && !radius && !polygon && rest.accept("BYBOX") {
                let (shape, unit) = words::rectangle(rest.word()?, rest.word()?, rest.word()?)?;
                (self.area, self.unit) = (Some(Area::Around(shape)), unit);
                rectangle = true;
            } else if asker.is_search()
                && left >= 1
                && self.centre.is_none()
                && self.area.is_none()
                && rest.accept("BYPOLYGON")
            {
                let shape = words::polygon(&mut rest)?;
                self.centre = Some(Centre::At(shape.centre()));
                self.area = Some(Area::Polygon(shape));
                polygon = true;
            } else if asker == Asker::SearchStore && rest.accept("STOREDIST") {
                self.store_dist = true;
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(())
    }

    fn check(&mut self, name: &[u8], asker: Asker) -> Result<(), CmdError> {
        if self.destination.is_some() && (self.with_dist || self.with_hash || self.with_coord) {
            return Err(CmdError::msg(format!(
                "ERR {} is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                match asker {
                    Asker::SearchStore => "GEOSEARCHSTORE",
                    Asker::Search | Asker::Radius { .. } | Asker::ByMember { .. } =>
                        "STORE option in GEORADIUS",
                }
            )));
        }
        let name = || String::from_utf8_lossy(name).into_owned();
        if asker.is_search() && self.centre.is_none() {
            return Err(CmdError::msg(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {}",
                name()
            )));
        }
        if asker.is_search() && self.area.is_none() {
            return Err(CmdError::msg(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {}",
                name()
            )));
        }
        if self.any && self.count.is_none() {
            return Err(CmdError::msg("ERR the ANY argument requires COUNT argument"));
        }
        // The first ones that are met are not the nearest.
        if self.count.is_some() && self.sort == Sort::None && !self.any {
            self.sort = Sort::Nearest;
        }
        Ok(())
    }

    /// Members of `set` inside the shape, in the order asked for and no more than asked for.
    pub fn run<'s>(&self, set: &'s Zset) -> Vec<Hit<'s>> {
        let (Some(Centre::At(centre)), Some(area)) = (self.centre, &self.area) else {
            return Vec::new();
        };
        let count = self.count.unwrap_or(usize::MAX);
        let stop_at = if self.any { count } else { usize::MAX };
        let mut hits: Vec<Hit<'s>> = area
            .ranges(centre)
            .into_iter()
            .map(|cell| ScoreRange {
                min: cell.min,
                min_excl: false,
                max: cell.max,
                max_excl: true,
            })
            .flat_map(|range| set.range(set.score_range(&range)))
            .filter_map(|(member, score)| {
                let point = Point::from_score(score);
                let metres = area.distance_within(centre, point)?;
                Some(Hit {
                    member,
                    score,
                    point,
                    metres,
                })
            })
            .take(stop_at)
            .collect();
        match self.sort {
            Sort::None => {}
            Sort::Nearest => hits.sort_by(|a, b| a.metres.total_cmp(&b.metres)),
            Sort::Farthest => hits.sort_by(|a, b| b.metres.total_cmp(&a.metres)),
        }
        hits.truncate(count);
        hits
    }
}

fn centre_of(set: Option<&Zset>, member: &[u8]) -> Result<Centre, CmdError> {
    let Some(set) = set else {
        return Ok(Centre::Nowhere);
    };
    match set.score(member) {
        Some(score) => Ok(Centre::At(Point::from_score(score))),
        None => Err(CmdError::msg("ERR could not decode requested zset member")),
    }
}
