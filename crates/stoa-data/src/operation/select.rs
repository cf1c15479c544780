//! What each row of a reply shows: fields, embeds along references, aggregates; and in which order rows come.

use super::{Condition, FieldIndex, ResourceIndex};
use stoa_config::plan::Type;

/// One entry of `select`.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A field under a name.
    Field {
        /// Which.
        field: FieldIndex,
        /// Steps into its JSON.
        path: Vec<PathStep>,
        /// `::type`.
        cast: Option<Cast>,
        /// Name in the reply.
        name: Box<str>,
    },
    /// One value of many rows. Where a level has one, its other items say which rows belong together.
    Aggregate {
        /// Which.
        function: Aggregate,
        /// Of what; `None` counts rows.
        of: Option<Term>,
        /// `::type` of the result.
        cast: Option<Cast>,
        /// Name in the reply.
        name: Box<str>,
    },
    /// Rows of another resource.
    Embed(Box<Embed>),
}

/// What an aggregate is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Which field.
    pub field: FieldIndex,
    /// Steps into its JSON.
    pub path: Vec<PathStep>,
    /// `::type`, before the aggregate.
    pub cast: Option<Cast>,
}

/// Aggregate functions. Nulls do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// `count()`
    Count,
    /// `sum()`
    Sum,
    /// `avg()`
    Avg,
    /// `min()`
    Min,
    /// `max()`
    Max,
}

impl Aggregate {
    /// Its name, which is also that of its column when the caller gives none.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// What it gives of values of a kind; `None` where the databases have no such function. `of` is `None` for lists.
    pub(crate) fn result(self, of: Option<Kind>) -> Option<Kind> {
        if self == Self::Count {
            return Some(Kind::Int);
        }
        let adds = matches!(self, Self::Sum | Self::Avg);
        match of? {
            Kind::Int | Kind::Number if adds => Some(Kind::Number),
            Kind::Float => Some(Kind::Float),
            Kind::Bool | Kind::Uuid | Kind::Json => None,
            kind => (!adds).then_some(kind),
        }
    }
}

/// What a value that is computed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A number with all its digits.
    Number,
    /// A 64-bit float.
    Float,
    /// Text.
    Text,
    /// A UUID.
    Uuid,
    /// A moment.
    Time,
    /// A day.
    Date,
    /// JSON.
    Json,
}

/// The types that `::` leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// `bool`
    Bool,
    /// `int2`
    Int2,
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `numeric`
    Numeric,
    /// `float4`
    Float4,
    /// `float8`
    Float8,
    /// `text`
    Text,
    /// `uuid`
    Uuid,
    /// `timestamptz`
    Time,
    /// `date`
    Date,
    /// `jsonb`
    Json,
}

impl Cast {
    /// What it gives.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Bool => Kind::Bool,
            Self::Int2 | Self::Int4 | Self::Int8 => Kind::Int,
            Self::Numeric => Kind::Number,
            Self::Float4 | Self::Float8 => Kind::Float,
            Self::Text => Kind::Text,
            Self::Uuid => Kind::Uuid,
            Self::Time => Kind::Time,
            Self::Date => Kind::Date,
            Self::Json => Kind::Json,
        }
    }
}

/// The kind of a field's value behind a path and a cast; `None` for a list as a whole.
pub(crate) fn kind_of(ty: &Type, path: &[PathStep], cast: Option<Cast>) -> Option<Kind> {
    if let Some(cast) = cast {
        return Some(cast.kind());
    }
    Some(match (path.last(), ty.value()) {
        (Some(PathStep::TextKey(_) | PathStep::TextIndex(_)), _) | (None, Type::Text | Type::Enum(_)) => {
            Kind::Text
        }
        (Some(_), _) | (None, Type::Json) => Kind::Json,
        (None, Type::Bool) => Kind::Bool,
        (None, Type::Int) => Kind::Int,
        (None, Type::Decimal { .. }) => Kind::Number,
        (None, Type::Float) => Kind::Float,
        (None, Type::Uuid | Type::Uuid7) => Kind::Uuid,
        (None, Type::Time) => Kind::Time,
        (None, Type::Date) => Kind::Date,
        (None, Type::List(_) | Type::Ref { .. }) => return None,
    })
}

/// One step of a JSON path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// `->key`.
    Key(Box<str>),
    /// `->0`.
    Index(i64),
    /// `->>key`: as text, the last step only.
    TextKey(Box<str>),
    /// `->>0`.
    TextIndex(i64),
}

/// Rows of another resource inside a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// Name in the reply.
    pub name: Box<str>,
    /// The other resource.
    pub resource: ResourceIndex,
    /// How the two are joined.
    pub join: Join,
    /// `!inner`: parents without a match are left out.
    pub inner: bool,
    /// `...relation(…)`: its members stand in the parent's row, those of many rows as lists.
    pub spread: bool,
    /// What each row shows; empty for `relation()`.
    pub select: Vec<Item>,
    /// Which rows: the caller's filter and the read rule of the other resource, joined.
    pub filter: Condition,
    /// Order of a to-many embed. Ends in the key, unless rows are grouped.
    pub order: Vec<Order>,
    /// At most so many rows of a to-many embed.
    pub limit: u64,
    /// After so many.
    pub offset: u64,
}

impl Embed {
    /// Whether a reply shows anything of it: an embed of nothing but empty embeds is left out.
    pub(crate) fn is_shown(&self) -> bool {
        self.select.iter().any(|item| match item {
            Item::Embed(inner) => inner.is_shown(),
            Item::Field { .. } | Item::Aggregate { .. } => true,
        })
    }
}

/// How an embed follows a `ref`.
#[derive(Clone, Debug, PartialEq)]
pub enum Join {
    /// The parent's field refers to the other's key: an object or null.
    ToOne {
        /// The `ref` field of the parent.
        field: FieldIndex,
    },
    /// The other's field refers to the parent's key: an array.
    ToMany {
        /// The `ref` field of the other.
        field: FieldIndex,
    },
    /// The same where no two of the others refer to one parent: an object or null.
    OneToOne {
        /// The `ref` field of the other, unique.
        field: FieldIndex,
    },
    /// Several fields refer to several, or not to the key.
    Along(Box<Along>),
    /// A function of the database gives them for a row of the parent.
    Called {
        /// Which: its position in the parent's [`stoa_config::plan::Resource::by_function`].
        by: usize,
        /// Whether a parent may have several.
        many: bool,
    },
    /// A third resource refers to both: an array.
    Through(Box<Through>),
}

/// Fields of one resource with those of another that have the same values: the first of each pair is the nearer one's.
pub type Pairs = Vec<(FieldIndex, FieldIndex)>;

/// Fields of a row that are compared with fields of the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Along {
    /// Fields of the parent, with those of the other; never empty.
    pub on: Pairs,
    /// Whether a parent may have several of the others.
    pub many: bool,
}

impl Join {
    /// Whether a parent may have several of the others.
    #[must_use]
    pub fn is_many(&self) -> bool {
        match self {
            Self::ToMany { .. } | Self::Through(_) => true,
            Self::ToOne { .. } | Self::OneToOne { .. } => false,
            Self::Along(along) => along.many,
            Self::Called { many, .. } => *many,
        }
    }
}

/// The resource between two that are joined many to many.
#[derive(Clone, Debug, PartialEq)]
pub struct Through {
    /// Which.
    pub resource: ResourceIndex,
    /// Its fields that refer to the parent, with the parent's.
    pub near: Pairs,
    /// Its fields that refer to the other, with the other's.
    pub far: Pairs,
    /// Which of its rows count: its read rule.
    pub filter: Condition,
}

/// One entry of `order`.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Of a to-one embed: its position among the items of the same level. `None`: of the row itself.
    pub embed: Option<usize>,
    /// Which field.
    pub field: FieldIndex,
    /// Steps into its JSON.
    pub path: Vec<PathStep>,
    /// From high to low.
    pub descending: bool,
    /// Whether nulls come first. PostgreSQL's default: last ascending, first descending.
    pub nulls_first: bool,
}

/// Whether a level has an aggregate, itself or in what a to-one embed spreads into it: its rows are then groups.
pub(crate) fn is_grouped(items: &[Item]) -> bool {
    items.iter().any(|item| match item {
        Item::Field { .. } => false,
        Item::Aggregate { .. } => true,
        Item::Embed(embed) => embed.spread && !embed.join.is_many() && is_grouped(&embed.select),
    })
}
