//! The options for conditions: every key that `match` of a rule has.

const CONDITIONS: &str = "Conditions, as in `match` of a rule (several values: any of them)";

#[derive(Debug, Default, clap::Args)]
pub(super) struct ConditionOptions {
    /// Conditions as written in `match`, e.g. 'any = [{ fault = "crash" }, { path = "pages/pay/*" }]'
    #[arg(long = "match", value_name = "TOML", help_heading = CONDITIONS)]
    pub(super) toml: Option<String>,
    /// created or updated
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', help_heading = CONDITIONS)]
    event: Vec<String>,
    /// The new status, for changes of status
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',', help_heading = CONDITIONS)]
    status: Vec<String>,
    /// The app that the feedback is about, by name or id
    #[arg(long, value_name = "APP,…", value_delimiter = ',', help_heading = CONDITIONS)]
    app: Vec<String>,
    /// The app of `[apps]` that received the event
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help_heading = CONDITIONS)]
    via: Vec<String>,
    /// fault or suggestion
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', help_heading = CONDITIONS)]
    r#type: Vec<String>,
    /// The fault
    #[arg(long, value_name = "FAULT,…", value_delimiter = ',', help_heading = CONDITIONS)]
    fault: Vec<String>,
    /// The place where the app ran
    #[arg(long, value_name = "SOURCE,…", value_delimiter = ',', help_heading = CONDITIONS)]
    source: Vec<String>,
    /// The tenant's name, a pattern
    #[arg(long, value_name = "GLOB", help_heading = CONDITIONS)]
    tenant: Vec<String>,
    /// The page without its query, a pattern
    #[arg(long, value_name = "GLOB", help_heading = CONDITIONS)]
    path: Vec<String>,
    /// The page's query, a pattern
    #[arg(long, value_name = "GLOB", help_heading = CONDITIONS)]
    query: Vec<String>,
    /// The tenant's key
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', help_heading = CONDITIONS)]
    tenant_key: Vec<String>,
    /// The text that the reporter typed, a regular expression
    #[arg(long, value_name = "REGEX", help_heading = CONDITIONS)]
    description: Vec<String>,
    /// Whether the reporter left contact details, or a pattern of them
    #[arg(long, value_name = "true|false|GLOB", help_heading = CONDITIONS)]
    contact: Vec<String>,
    /// Whether the report has images
    #[arg(long, value_name = "true|false", help_heading = CONDITIONS)]
    images: Option<bool>,
    /// An id of the reporter
    #[arg(long, value_name = "ID,…", value_delimiter = ',', help_heading = CONDITIONS)]
    user: Vec<String>,
}

impl ConditionOptions {
    /// Returns each key with its values.
    pub(super) fn keys(&self) -> Vec<(&'static str, Vec<String>)> {
        let images = self.images.map(|images| images.to_string());
        [
            ("event", self.event.clone()),
            ("status", self.status.clone()),
            ("app", self.app.clone()),
            ("via", self.via.clone()),
            ("type", self.r#type.clone()),
            ("fault", self.fault.clone()),
            ("source", self.source.clone()),
            ("tenant", self.tenant.clone()),
            ("path", self.path.clone()),
            ("query", self.query.clone()),
            ("tenant_key", self.tenant_key.clone()),
            ("description", self.description.clone()),
            ("contact", self.contact.clone()),
            ("images", images.into_iter().collect()),
            ("user", self.user.clone()),
        ]
        .into()
    }
}
