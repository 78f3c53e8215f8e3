//! Statements: what defines, changes and removes objects.

use super::{
    ColumnList, CreateBatchView, CreateFunction, CreateModel, CreatePushedView, CreateSegment,
    CreateTrainingDataset, Expr, Ident, IntervalLit, Literal, NumberLit, Query, Span, StringLit,
    TypeName,
};

/// One statement of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it is.
    pub kind: StatementKind,
    /// From its first word to its last, without the semicolon.
    pub span: Span,
}

/// What a [`Statement`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// `CREATE ENTITY`
    CreateEntity(CreateEntity),
    /// `CREATE STREAM`, `CREATE TABLE`
    CreateSource(Box<CreateSource>),
    /// `CREATE FEATURE VIEW`
    CreateFeatureView(Box<CreateFeatureView>),
    /// `CREATE ON DEMAND FEATURE VIEW`
    CreateOnDemandView(Box<CreateOnDemandView>),
    /// `CREATE BATCH FEATURE VIEW`
    CreateBatchView(Box<CreateBatchView>),
    /// `CREATE PUSHED FEATURE VIEW`
    CreatePushedView(Box<CreatePushedView>),
    /// `CREATE FEATURE SERVICE`
    CreateFeatureService(CreateFeatureService),
    /// `CREATE TRAINING DATASET`
    CreateTrainingDataset(Box<CreateTrainingDataset>),
    /// `CREATE SEGMENT`
    CreateSegment(Box<CreateSegment>),
    /// `CREATE MODEL`
    CreateModel(Box<CreateModel>),
    /// `CREATE FUNCTION`
    CreateFunction(Box<CreateFunction>),
    /// `DROP ...`
    Drop(Drop),
    /// `ALTER STREAM | TABLE ...`
    Alter(Alter),
    /// A statement that is recognised but does not exist yet; what follows its name was
    /// skipped.
    Planned(Planned),
}

/// `COMMENT 'x' OWNER 'x' TAGS ('k' = 'v', ...)`, in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// What it is, in words.
    pub comment: Option<StringLit>,
    /// Who looks after it.
    pub owner: Option<StringLit>,
    /// Keys and values, in the order written; keys may repeat here.
    pub tags: Vec<Tag>,
}

/// `'key' = 'value'`
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    /// The key.
    pub key: StringLit,
    /// The value.
    pub value: StringLit,
}

/// `CREATE ENTITY name (column TYPE, ...)`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateEntity {
    /// Its name.
    pub name: Ident,
    /// Its key columns; at least one.
    pub keys: Vec<RequestColumn>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}

/// `name TYPE [COMMENT '...']`: a key of an entity or a column of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestColumn {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub data_type: TypeName,
    /// What it is, in words.
    pub comment: Option<StringLit>,
    /// All of it.
    pub span: Span,
}

/// Whether a source's rows are events or versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// `CREATE STREAM`: things that happened.
    Stream,
    /// `CREATE TABLE`: versions of rows.
    Table,
}

/// `CREATE STREAM name ...`, `CREATE TABLE name ...`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSource {
    /// Stream or table.
    pub kind: SourceKind,
    /// Its name.
    pub name: Ident,
    /// Where its rows come from.
    pub body: SourceBody,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}

/// Where the rows of a source come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceBody {
    /// `(columns and clauses) [WITH (...)] [WHERE expr]`
    Declared {
        /// Its columns, in order.
        columns: Vec<ColumnDef>,
        /// The other items in the parentheses.
        clauses: Box<SourceClauses>,
        /// `WITH (...)`, in the order written.
        options: Vec<WithOption>,
        /// `WHERE`: rows for which this is not true are left out.
        filter: Option<Expr>,
    },
    /// `[(columns and clauses)] FROM FILE 'path' [WITH (...)] [WHERE expr]`: the columns that
    /// are not written are the file's.
    FromFile {
        /// Columns that are not to be as the file has them, and computed ones.
        columns: Vec<ColumnDef>,
        /// The other items in the parentheses.
        clauses: Box<SourceClauses>,
        /// The file, or a glob.
        path: StringLit,
        /// `WITH (...)`, in the order written.
        options: Vec<WithOption>,
        /// `WHERE`: rows for which this is not true are left out.
        filter: Option<Expr>,
    },
    /// `AS SELECT ... [ON LATE ...]`: a derived stream.
    Query {
        /// The rows.
        query: Box<Query>,
        /// What happens when inputs arrive late.
        on_late: Option<OnLate>,
    },
}

/// `column TYPE [NOT NULL] [AS (expr)] [COMMENT '...']`
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub data_type: TypeName,
    /// `NOT NULL`, where written.
    pub not_null: Option<Span>,
    /// `AS (expr)`: computed from the other columns.
    pub computed: Option<Expr>,
    /// What it is, in words.
    pub comment: Option<StringLit>,
    /// All of it.
    pub span: Span,
}

/// What stands beside the columns of a source. Each clause occurs at most once, but `RETAIN`
/// and the constraints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceClauses {
    /// `PRIMARY KEY (c, ...)`; in a stream it is a syntax error.
    pub primary_key: Option<ColumnList>,
    /// `EVENT ID (c, ...)`
    pub event_id: Option<ColumnList>,
    /// `EVENT TIME ...` or `WATERMARK FOR ...`
    pub event_time: Option<EventTimeClause>,
    /// `KNOWN AT expr`
    pub known_at: Option<Expr>,
    /// `SEQUENCE BY (c, ...)`
    pub sequence_by: Option<ColumnList>,
    /// `DEDUPLICATE WITHIN INTERVAL ...`
    pub deduplicate_within: Option<IntervalLit>,
    /// `MAX FUTURE INTERVAL ...`
    pub max_future: Option<IntervalLit>,
    /// `HOT RETENTION INTERVAL ...`
    pub hot_retention: Option<IntervalLit>,
    /// `RETAIN INTERVAL ... FOR (c, ...)`
    pub retain: Vec<Retain>,
    /// `CHECK (expr)`, `EXPECT (expr)`
    pub constraints: Vec<Constraint>,
}

/// `EVENT TIME column [IN 'zone'] [LATENESS INTERVAL ...]`
#[derive(Clone, Debug, PartialEq)]
pub struct EventTimeClause {
    /// The column.
    pub column: Ident,
    /// The zone of times that name none; UTC if absent.
    pub zone: Option<StringLit>,
    /// How late events are expected to be.
    pub lateness: Option<IntervalLit>,
    /// All of it.
    pub span: Span,
}

/// `RETAIN INTERVAL ... [FOR (key columns)]`
#[derive(Clone, Debug, PartialEq)]
pub struct Retain {
    /// The longest gap that keeps a key's events.
    pub interval: IntervalLit,
    /// The columns that are the entity's key; every entity of the source if absent.
    pub keys: Option<ColumnList>,
    /// All of it.
    pub span: Span,
}

/// `CHECK (expr)`, `EXPECT (expr)`
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Which word.
    pub kind: ConstraintKind,
    /// What must not be false.
    pub expr: Expr,
    /// All of it.
    pub span: Span,
}

/// Which word introduced a [`Constraint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    /// `CHECK`
    Check,
    /// `EXPECT`
    Expect,
}

/// `key = value` in `WITH (...)`
#[derive(Clone, Debug, PartialEq)]
pub struct WithOption {
    /// The key: a word, words with points between them, or a string. Words are folded to
    /// lower case.
    pub key: StringLit,
    /// Its value.
    pub value: OptionValue,
    /// Both.
    pub span: Span,
}

/// The value of a [`WithOption`].
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// A string, a number (possibly negative), `TRUE` or `FALSE`.
    Literal {
        /// The value.
        value: Literal,
        /// Where.
        span: Span,
    },
    /// `SECRET 'name'`: the value is looked up when it is needed and never stored.
    Secret(StringLit),
}

/// `ON LATE REVISE | KEEP`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnLate {
    /// Which.
    pub kind: OnLateKind,
    /// All three words.
    pub span: Span,
}

/// What happens to emissions when inputs arrive late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLateKind {
    /// They stay, and are counted.
    Keep,
    /// They are emitted again with the next revision.
    Revise,
}

/// `ENTITY name [(source columns)]`
#[derive(Clone, Debug, PartialEq)]
pub struct EntityRef {
    /// The entity.
    pub name: Ident,
    /// The columns that hold its key, where they have other names.
    pub columns: Option<ColumnList>,
    /// All of it.
    pub span: Span,
}

/// An item of a view's column list.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDef {
    /// The feature.
    pub name: Ident,
    /// `DEFAULT literal`
    pub default: Option<Expr>,
    /// `EXPECT (expr)`
    pub expect: Option<Expr>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// All of it.
    pub span: Span,
}

/// `CREATE FEATURE VIEW ...`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFeatureView {
    /// Its name, where given.
    pub name: Option<Ident>,
    /// `CREATE FEATURE VIEW`: what to underline where the name is missing.
    pub keywords: Span,
    /// The column list; empty if absent.
    pub features: Vec<FeatureDef>,
    /// Whose features these are.
    pub entity: EntityRef,
    /// `TTL INTERVAL ...`
    pub ttl: Option<IntervalLit>,
    /// `MATERIALIZED`, where written.
    pub materialized: Option<Span>,
    /// `EMIT TO 'topic'`
    pub emit_to: Option<StringLit>,
    /// `ON LATE ...`
    pub on_late: Option<OnLate>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// What it computes.
    pub query: Query,
}

/// `CREATE ON DEMAND FEATURE VIEW ...`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateOnDemandView {
    /// Its name.
    pub name: Ident,
    /// The column list; empty if absent.
    pub features: Vec<FeatureDef>,
    /// Whose features these are, where it says so.
    pub entity: Option<EntityRef>,
    /// `REQUEST (column TYPE, ...)`; empty if absent.
    pub request: Vec<RequestColumn>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// What it computes.
    pub query: Query,
}

/// `CREATE FEATURE SERVICE name [VERSION n] AS item, ...`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFeatureService {
    /// Its name.
    pub name: Ident,
    /// `VERSION n`
    pub version: Option<NumberLit>,
    /// What it serves; at least one.
    pub items: Vec<ServiceItem>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}

/// `view [@version] (features | *) [FOR (columns)] [AS prefix]`
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceItem {
    /// The view.
    pub view: Ident,
    /// Its version.
    pub version: Option<NumberLit>,
    /// Which of its features.
    pub features: FeatureSelection,
    /// The request's columns that hold the view's keys, where they have other names.
    pub keys: Option<ColumnList>,
    /// `AS prefix`: the features are called `prefix_feature`.
    pub prefix: Option<Ident>,
    /// All of it.
    pub span: Span,
}

/// Which features of a view a service takes.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureSelection {
    /// `(*)`; where the star is.
    All(Span),
    /// `(a, b AS c)`; at least one.
    List(Vec<ServiceFeature>),
}

/// `feature [AS alias]`
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceFeature {
    /// Its name in the view.
    pub name: Ident,
    /// Its name in the service.
    pub alias: Option<Ident>,
}

/// A kind of object, as it is named in `DROP` and `ALTER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// `ENTITY`
    Entity,
    /// `STREAM`
    Stream,
    /// `TABLE`
    Table,
    /// `FEATURE VIEW`, on demand or not
    FeatureView,
    /// `FEATURE SERVICE`
    FeatureService,
}

/// `DROP kind [IF EXISTS] name`
#[derive(Clone, Debug, PartialEq)]
pub struct Drop {
    /// What kind of object.
    pub kind: ObjectKind,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// Its name.
    pub name: Ident,
}

/// `ALTER STREAM | TABLE name change, ...`
#[derive(Clone, Debug, PartialEq)]
pub struct Alter {
    /// What kind of object: a stream or a table.
    pub kind: ObjectKind,
    /// Its name.
    pub name: Ident,
    /// What changes, in order; at least one.
    pub changes: Vec<ColumnChange>,
}

/// What `ALTER` does to a column.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnChange {
    /// `ADD COLUMN column`
    Add(ColumnDef),
    /// `ALTER COLUMN name TYPE type`
    Type {
        /// The column.
        column: Ident,
        /// Its type from now on.
        data_type: TypeName,
    },
}

/// A statement that is recognised but does not exist yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Which.
    pub kind: PlannedKind,
    /// Its name, where one follows the keywords.
    pub name: Option<Ident>,
    /// Its keywords: what to underline.
    pub keywords: Span,
    /// What follows the name, word for word: it was not read.
    pub rest: String,
}

/// Which statement is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedKind {
    /// `CREATE SECRET`
    Secret,
}
