//! Tells who waits for directives that they changed: the announcer of all, and each open stream of its supervisor's.

use sidedoor_domain::ports::store::{DirectiveNews, NewsBoard};
use tokio::sync::broadcast;

/// Changes that a receiver of all may lag behind before it misses some and must read the store.
const LAG: usize = 1024;

#[derive(Debug, Clone)]
pub(super) struct NewsOfDirectives {
    pub(super) of_all: broadcast::Sender<DirectiveNews>,
    pub(super) of_each: NewsBoard<DirectiveNews>,
}

impl Default for NewsOfDirectives {
    fn default() -> Self {
        Self {
            of_all: broadcast::channel(LAG).0,
            of_each: NewsBoard::default(),
        }
    }
}

impl NewsOfDirectives {
    pub(super) fn publish(&self, whose: DirectiveNews) {
        self.of_each.publish(&whose);
        // It fails if there is no announcer, and then the news is not needed.
        let _ = self.of_all.send(whose);
    }
}
