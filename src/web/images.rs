//! Serves stored images by signed links that expire.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;

use super::WebState;
use crate::archive::{ImageReader, LinkCheck};
use crate::model::{ImageId, KeptImage};
use crate::store::StoreError;

/// Serves an image. Answers 404 for a link that this relay did not sign and 410 for an expired one.
pub async fn serve(State(state): State<WebState>, Path(id): Path<String>, uri: Uri) -> Response {
    let Ok(id) = id.parse::<ImageId>() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let links = state.links.get();
    let Some(links) = links.as_ref() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match links.check(&id, uri.query().unwrap_or_default(), state.clock.now()) {
        LinkCheck::Good => {}
        LinkCheck::Ended => return StatusCode::GONE.into_response(),
        LinkCheck::Wrong => return StatusCode::NOT_FOUND.into_response(),
    }
    match fetch(&state, &id).await {
        Ok(Some((image, reader))) => answer(&image, reader),
        // The link is authentic, so the image existed: retention or `erase` removed it.
        Ok(None) => StatusCode::GONE.into_response(),
        Err(error) => {
            tracing::error!(image = %id, %error, "failed to read a stored image");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the archive cannot be read: {0}")]
    Archive(#[from] std::io::Error),
}

async fn fetch(
    state: &WebState,
    id: &ImageId,
) -> Result<Option<(KeptImage, ImageReader)>, FetchError> {
    let Some(image) = state.store.kept_image(id).await? else {
        return Ok(None);
    };
    let reader = state.archive.reader(id).await?;
    Ok(reader.map(|reader| (image, reader)))
}

/// Streams an image in pieces, so that even a slow reader needs memory for only one piece.
fn pieces(reader: ImageReader) -> Body {
    Body::from_stream(unfold(reader, async |mut reader| {
        let piece = reader.next_piece().await.transpose()?;
        Some((piece, reader))
    }))
}

/// Returns the response. A stranger made the bytes, so a browser must neither guess their type nor run anything
/// in them.
fn answer(image: &KeptImage, reader: ImageReader) -> Response {
    let disposition = format!(
        "inline; filename=\"{}.{}\"",
        &image.id.as_str().get(..12).unwrap_or("picture"),
        image.format
    );
    let headers = [
        (header::CONTENT_TYPE, image.format.media_type()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
        (header::CACHE_CONTROL, "private, max-age=86400, immutable"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ];
    let own = [
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_LENGTH, reader.bytes().to_string()),
    ];
    (headers, own, pieces(reader)).into_response()
}
