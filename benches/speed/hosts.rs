//! Image hosts: one answers at once, one fails, one never answers.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::http::read_message;

/// How a host responds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Answers with an image.
    Answers,
    /// Answers 503.
    Fails,
    /// Never answers.
    Hangs,
}

/// The three hosts, on a thread that lives as long as the program.
pub struct Hosts([SocketAddr; 3]);

impl Hosts {
    /// Starts the hosts on free ports.
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

    /// Returns the prefix of the host's image addresses.
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

/// Returns an incompressible PNG of about 20 KB: 80 × 80 pixels of noise.
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
