#include "rpc/http_client.h"

#include <boost/beast/http.hpp>

#include "base/check.h"
#include "base/lifeline.h"
#include "rpc/first_chunk.h"

namespace quoin::rpc {
namespace {

namespace http = boost::beast::http;

constexpr size_t kHeaderBytesMax = 64 * 1024;

// Where a URL leads: what env::Network connects to, and what the Host header says. Value type.
struct Target {
  std::string address;
  std::string host;
};

// "http://host:port", "unix://host:port" (a socket of that name in the working directory, as etcd
// has it) or "unix:///path". What follows the authority of an http URL is passed over.
StatusOr<Target> TargetOf(std::string_view url) {
  for (const std::string_view scheme : {"http://", "unix://"}) {
    if (!url.starts_with(scheme)) continue;
    const std::string rest(url.substr(scheme.size()));
    const std::string authority = rest.substr(0, rest.find('/'));
    if (scheme == "http://") return Target{authority, authority};
    return Target{"unix:" + rest, authority.empty() ? "localhost" : authority};
  }
  return absl::InvalidArgumentError("unsupported scheme in URL " + std::string(url));
}

std::string RequestBytes(const HttpRequestHead& head, std::string_view authority) {
  std::string out = head.method + " " + head.target + " HTTP/1.1\r\nHost: ";
  out += authority;
  out += "\r\n";
  for (const auto& [name, value] : head.headers) out += name + ": " + value + "\r\n";
  if (head.chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  } else if (head.method != "GET" || !head.body.empty()) {
    out += "Content-Length: " + std::to_string(head.body.size()) + "\r\n";
  }
  return out + "\r\n" + head.body;
}

class HttpStreamImpl;

// A connection and who listens to it. It may be on the stack when its stream lets go of it, so it
// outlives the stream by one turn.
struct Link final : env::Connection::Handler {
  void OnData(std::string_view data) override;
  void OnDrained() override;
  void OnClosed(Status why) override;

  HttpStreamImpl* stream = nullptr;
  std::unique_ptr<env::Connection> connection;
};

class HttpStreamImpl final : public HttpStream {
 public:
  HttpStreamImpl(env::Executor& loop, HttpStream::Handler& handler)
      : loop_(loop), handler_(handler) {
    parser_.eager(true);
    parser_.header_limit(kHeaderBytesMax);
    parser_.body_limit(boost::none);
  }
  ~HttpStreamImpl() override {
    lifeline_.Cut();
    Drop();
  }

  void Start(env::Env& env, HttpRequestHead head) {
    const StatusOr<Target> target = TargetOf(head.url);
    if (!target.ok()) return EndLater(target.status());
    waiting_ = RequestBytes(head, target->host);
    env.network().Connect(
        target->address, head.dial_timeout, loop_,
        lifeline_.Tie([this](StatusOr<std::unique_ptr<env::Connection>> connection) {
          if (!connection.ok())
            return End(absl::UnavailableError(std::string(connection.status().message())));
          link_ = std::make_shared<Link>();
          link_->stream = this;
          link_->connection = *std::move(connection);
          link_->connection->Start(*link_);
          link_->connection->Write(std::exchange(waiting_, {}));
        }));
  }

  void Write(std::string bytes) override {
    if (bytes.empty() || ended_) return;
    char size[20];
    const int n = std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    bytes.insert(0, size, static_cast<size_t>(n));
    bytes += "\r\n";
    Send(std::move(bytes));
  }
  void EndBody() override { Send("0\r\n\r\n"); }
  size_t unsent_bytes() const override {
    return link_ == nullptr ? waiting_.size() : link_->connection->unsent_bytes();
  }

  // --- the link's ---
  void OnData(std::string_view data) {
    if (ended_) return;
    buffer_.append(data);
    while (!buffer_.empty() && !parser_.is_done()) {
      if (first_chunk_.Waits(parser_, buffer_.size())) return;
      boost::system::error_code error;
      const size_t used =
          parser_.put(boost::asio::const_buffer(buffer_.data(), buffer_.size()), error);
      first_chunk_.Parsed(parser_, used);
      buffer_.erase(0, used);
      if (error && error != http::error::need_more)
        return End(absl::InvalidArgumentError("malformed answer: " + error.message()));
      if (!Deliver()) return;
      if (error || used == 0) break;
    }
    if (parser_.is_done()) End(OkStatus());
  }
  void OnDrained() { handler_.OnDrained(); }
  void OnClosed(const Status& why) {
    if (ended_) return;
    boost::system::error_code error;
    // An answer without a length ends with the connection.
    if (why.ok() && parser_.is_header_done()) parser_.put_eof(error);
    if (why.ok() && parser_.is_done() && !error) return End(OkStatus());
    End(absl::UnavailableError(why.ok() ? "unexpected EOF" : std::string(why.message())));
  }

 private:
  void Send(std::string bytes) {
    if (ended_) return;
    if (link_ == nullptr) {
      waiting_ += bytes;
    } else {
      link_->connection->Write(std::move(bytes));
    }
  }

  // False: the handler has destroyed this stream.
  bool Deliver() {
    const Lifeline::Sign sign = lifeline_.sign();
    if (parser_.is_header_done() && !std::exchange(head_told_, true)) {
      HttpResponse head;
      head.status = parser_.get().result_int();
      for (const auto& field : parser_.get())
        head.headers.emplace_back(field.name_string(), field.value());
      handler_.OnHead(head.status, head);
      if (!sign.alive()) return false;
    }
    if (!parser_.get().body().empty()) {
      const std::string piece = std::exchange(parser_.get().body(), {});
      handler_.OnBody(piece);
    }
    return sign.alive();
  }

  void EndLater(const Status& status) {
    loop_.Post(lifeline_.Tie([this, status] { End(status); }));
  }
  void End(const Status& status) {
    if (std::exchange(ended_, true)) return;
    Drop();
    handler_.OnEnd(status);
  }
  void Drop() {
    if (link_ == nullptr) return;
    link_->stream = nullptr;
    loop_.Post([gone = std::move(link_)] {});
  }

  env::Executor& loop_;
  HttpStream::Handler& handler_;
  http::response_parser<http::string_body> parser_;
  std::shared_ptr<Link> link_;
  std::string waiting_;  // written before the connection stands
  std::string buffer_;
  FirstChunk first_chunk_;
  bool head_told_ = false;
  bool ended_ = false;
  Lifeline lifeline_;
};

void Link::OnData(std::string_view data) {
  if (stream != nullptr) stream->OnData(data);
}
void Link::OnDrained() {
  if (stream != nullptr) stream->OnDrained();
}
void Link::OnClosed(Status why) {
  if (stream != nullptr) stream->OnClosed(why);
}

class FetchImpl final : public Fetch, private HttpStream::Handler {
 public:
  FetchImpl(env::Env& env, env::Executor& loop, FetchRequest request,
            absl::AnyInvocable<void(StatusOr<HttpResponse>)> done)
      : loop_(loop), body_bytes_max_(request.body_bytes_max), done_(std::move(done)) {
    timer_ = loop_.RunAfter(request.timeout, [this] {
      timer_ = {};
      Finish(absl::DeadlineExceededError("no answer in time"));
    });
    request.head.dial_timeout = std::min(request.head.dial_timeout, request.timeout);
    stream_ = HttpStream::Open(env, loop, std::move(request.head), *this);
  }
  ~FetchImpl() override { loop_.Cancel(timer_); }

 private:
  void OnHead(int status, const HttpResponse& head) override {
    response_ = head;
    response_.status = status;
  }
  void OnBody(std::string_view piece) override {
    if (response_.body.size() + piece.size() > body_bytes_max_)
      return Finish(absl::InvalidArgumentError("the answer is too large"));
    response_.body += piece;
  }
  void OnEnd(const Status& status) override {
    status.ok() ? Finish(std::move(response_)) : Finish(status);
  }
  // The last thing that happens here: `done` may destroy this object.
  void Finish(StatusOr<HttpResponse> result) {
    if (done_ == nullptr) return;
    loop_.Cancel(std::exchange(timer_, {}));
    stream_.reset();
    std::exchange(done_, nullptr)(std::move(result));
  }

  env::Executor& loop_;
  const size_t body_bytes_max_;
  absl::AnyInvocable<void(StatusOr<HttpResponse>)> done_;
  std::unique_ptr<HttpStream> stream_;
  env::TimerId timer_;
  HttpResponse response_;
};

}  // namespace

std::unique_ptr<HttpStream> HttpStream::Open(env::Env& env, env::Executor& loop,
                                             HttpRequestHead head, Handler& handler) {
  auto stream = std::make_unique<HttpStreamImpl>(loop, handler);
  stream->Start(env, std::move(head));
  return stream;
}

std::unique_ptr<Fetch> StartFetch(env::Env& env, env::Executor& loop, FetchRequest request,
                                  absl::AnyInvocable<void(StatusOr<HttpResponse>)> done) {
  return std::make_unique<FetchImpl>(env, loop, std::move(request), std::move(done));
}

}  // namespace quoin::rpc
