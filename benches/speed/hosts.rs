//! Hosts of images: one that answers at once, one that fails, one that takes a request and never answers.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::http::read_message;

/// What a host does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Answers with an image.
    Answers,
    /// Answers 503.
    Fails,
    /// Never answers.
    Hangs,
}

/// The three hosts, on a thread of their own for as long as the program runs.
pub struct Hosts([SocketAddr; 3]);

impl Hosts {
    /// Starts them on free ports.
    pub fn start() -> Self {
        let (tell, hear) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            super::runtime().block_on(async move {
                let mut hosts = JoinSet::new();
                for host in [Host::Answers, Host::Fails, Host::Hangs] {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                    let listener = listener.expect("a free port");
                    tell.send(listener.local_addr().expect("it is bound")).ok();
                    hosts.spawn(serve(listener, host));
                }
                hosts.join_all().await;
            });
        });
        Self(std::array::from_fn(|_| {
            hear.recv().expect("the thread has started")
        }))
    }

    /// What the addresses of its images begin with.
    pub fn base(&self, host: Host) -> String {
        let [answers, fails, hangs] = self.0;
        let address = match host {
            Host::Answers => answers,
            Host::Fails => fails,
            Host::Hangs => hangs,
        };
        format!("http://{address}/img/")
    }
}

async fn serve(listener: TcpListener, host: Host) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(answer(stream, host));
    }
}

async fn answer(mut stream: TcpStream, host: Host) {
    let picture = match host {
        Host::Answers => picture(),
        Host::Fails | Host::Hangs => Vec::new(),
    };
    let status = match host {
        Host::Answers => 200,
        Host::Fails | Host::Hangs => 503,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n",
        picture.len()
    );
    let answer = [head.as_bytes(), &picture].concat();
    let mut buffer = Vec::new();
    while let Ok(Some(parsed)) = read_message(&mut stream, &mut buffer).await {
        buffer.drain(..parsed.head + parsed.body);
        if host == Host::Hangs {
            std::future::pending::<()>().await;
        }
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// A PNG of some 20 KB that cannot be packed: 80 × 80 pixels of noise.
fn picture() -> Vec<u8> {
    const SIDE: u32 = 80;
    let mut chance = fastrand::Rng::with_seed(1);
    let noise = image::RgbImage::from_fn(SIDE, SIDE, |_, _| {
        image::Rgb(std::array::from_fn(|_| chance.u8(..)))
    });
    let mut png = std::io::Cursor::new(Vec::new());
    noise
        .write_to(&mut png, image::ImageFormat::Png)
        .expect("it is written to memory");
    png.into_inner()
}
