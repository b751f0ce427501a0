// The server's half of one HTTP/1.1 connection: requests one after another, answers in the same
// order.

#include <algorithm>
#include <boost/beast/http.hpp>
#include <cctype>

#include "base/lifeline.h"
#include "rpc/first_chunk.h"
#include "rpc/session.h"

namespace quoin::rpc {
namespace {

namespace http = boost::beast::http;

constexpr size_t kHeaderBytesMax = 64 * 1024;
constexpr size_t kPipelinedBytesMax = 1 << 20;  // bytes of further requests that wait for an answer
constexpr size_t kBufferKeepBytes = 4096;       // of a connection that says nothing

// Of bytes that wait. A body has room for the length that its head says, which costs nothing yet.
size_t MemoryOf(const std::string& bytes) { return std::min(bytes.capacity(), 2 * bytes.size()); }

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

// "400 Bad Request"
std::string StatusText(int status) {
  return std::to_string(status) + " " +
         std::string(http::obsolete_reason(static_cast<http::status>(status)));
}

std::string HeaderLines(const HttpResponse& response) {
  std::string out;
  for (const auto& [name, value] : response.headers) out += name + ": " + value + "\r\n";
  return out;
}

// Where a head ends: behind its empty line; npos when that has not come. Looks from `from` on.
size_t HeadEnd(std::string_view bytes, size_t from) {
  for (size_t at = bytes.find('\n', from); at != std::string_view::npos;
       at = bytes.find('\n', at + 1)) {
    const std::string_view next = bytes.substr(at + 1, 2);
    if (next.starts_with('\n')) return at + 2;
    if (next == "\r\n") return at + 3;
  }
  return std::string_view::npos;
}

// Lines of a head may end with LF alone, as Go's server takes them; Beast's parser does not.
std::string WithCarriageReturns(std::string_view head) {
  std::string out;
  out.reserve(head.size() + 32);
  for (size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) out += '\r';
    out += head[i];
  }
  return out;
}

// What Go's server takes for a host.
bool IsHostHeader(std::string_view host) {
  constexpr std::string_view kAllowed = "!$%&'()*+,-.:;=[]_~";
  return std::all_of(host.begin(), host.end(), [&](unsigned char c) {
    return (c < 0x80 && std::isalnum(c) != 0) ||
           kAllowed.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// "http://host/path" in its two halves, "host" and "/path"; nullopt for any other target.
std::optional<std::pair<std::string, std::string>> SplitAbsolute(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    std::string path(target.substr(end));
    if (!path.starts_with('/')) path.insert(0, "/");
    return std::pair(std::string(target.substr(0, end)), std::move(path));
  }
  return std::nullopt;
}

// Why Go's server does not take such a head; nullopt: it does. Empty: it does not say.
template <typename Message>
std::optional<std::string> HeadProblem(const Message& message) {
  size_t hosts = 0;
  for (const auto& field : message) hosts += field.name() == http::field::host ? 1 : 0;
  if (hosts == 0 && message.version() >= 11) return "missing required Host header";
  if (hosts > 1) return "";
  if (hosts == 1 && !IsHostHeader(message[http::field::host])) return "malformed Host header";
  const std::string_view target = message.target();
  const bool known = target.starts_with('/') || target == "*" || SplitAbsolute(target).has_value();
  if (!known) return "";
  return std::nullopt;
}

class Http1Session final : public Session, private HttpExchange, private Holder {
 public:
  Http1Session(const ServerContext& context, env::Connection& connection, env::Executor& loop,
               SessionOwner& owner, std::shared_ptr<LoopMemory> memory)
      : context_(context),
        connection_(connection),
        loop_(loop),
        owner_(owner),
        memory_(std::move(memory)),
        charge_(memory_->account()) {
    StartRequest();
  }
  ~Http1Session() override {
    lifeline_.Cut();
    DisarmHead();
  }

  bool Feed(std::string_view data) override {
    if (closed_) return true;  // what still comes is for nobody
    buffer_.append(data);
    if (phase_ == Phase::kAnswering || body_paused_) {
      if (buffer_.size() > kPipelinedBytesMax) connection_.PauseReading();
      Account();
      return true;
    }
    const Lifeline::Sign sign = lifeline_.sign();
    const bool goes_on = Parse();
    if (sign.alive()) Account();
    return goes_on;
  }
  void OnDrained() override { Account(); }
  void OnLost() override {
    lifeline_.Cut();
    EndStream(/*lost=*/true);
  }
  bool StartDrain() override {
    draining_ = true;
    if (stream_ != nullptr) EndStream(/*lost=*/true);  // it has no end of its own
    const bool idle = phase_ == Phase::kRequest;
    if (idle) owner_.CloseSession();
    return idle;
  }
  size_t calls() const override { return phase_ == Phase::kRequest ? 0 : 1; }

 private:
  enum class Phase : uint8_t {
    kRequest,    // reads a request
    kStreaming,  // a handler takes the request's body as it comes
    kAnswering,  // the request is complete: bytes that come belong to the next one
  };

  // What is held of the request and of the answer. A connection that moves neither is the first to
  // go when the server holds too much.
  void Account() {
    if (given_up_) return;
    const size_t held =
        MemoryOf(buffer_) + MemoryOf(parser_->get().body()) + connection_.unsent_bytes();
    const bool grew = held > charge_.bytes();
    charge_.Set(held);
    held == 0 ? memory_->Remove(*this) : memory_->Touch(*this);
    if (grew) memory_->NoteGrowth();
  }
  void GiveUp() override {
    closed_ = given_up_ = true;
    charge_.Set(0);
    loop_.Post(lifeline_.Tie([this] { owner_.DropSession(); }));
  }

  void StartRequest() {
    phase_ = Phase::kRequest;
    parser_.emplace();
    first_chunk_ = FirstChunk();
    parser_->eager(false);  // the head first: it decides what becomes of the body
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(boost::none);  // of a length that a handler may take as it comes
    continue_sent_ = false;
    head_seen_ = false;
    head_whole_ = false;
    head_scanned_ = 0;
    old_version_ = false;
  }

  // Waits for the whole head and gives its lines their carriage returns. False: not whole yet.
  bool PrepareHead() {
    if (head_whole_) return true;
    const size_t end = HeadEnd(buffer_, head_scanned_);
    if (end == std::string::npos) {
      head_scanned_ = buffer_.size() < 2 ? 0 : buffer_.size() - 2;
      return false;
    }
    head_whole_ = true;
    buffer_.replace(0, end, WithCarriageReturns(std::string_view(buffer_).substr(0, end)));
    return true;
  }

  // Takes what is buffered. False: the connection is to be closed after the answer that was
  // written.
  bool Parse() {
    const Lifeline::Sign sign = lifeline_.sign();
    if (!head_seen_ && !buffer_.empty()) ArmHead();
    while (sign.alive() && !closed_ && phase_ != Phase::kAnswering && !body_paused_) {
      if (parser_->is_header_done() && !std::exchange(head_seen_, true)) {
        DisarmHead();
        old_version_ = parser_->get().version() < 11;
        if (auto problem = HeadProblem(parser_->get())) return RefuseHead(*problem);
        if (!OfferStream() && !LimitBody()) return Refuse(http::error::body_limit);
        continue;
      }
      if (parser_->is_done()) {
        RequestEnded();
        continue;
      }
      if (buffer_.empty()) return MaybeContinue();
      if (!PrepareHead()) {
        return buffer_.size() <= kHeaderBytesMax || Refuse(http::error::header_limit);
      }
      if (first_chunk_.Waits(*parser_, buffer_.size())) return MaybeContinue();
      boost::system::error_code error;
      const size_t used =
          parser_->put(boost::asio::const_buffer(buffer_.data(), buffer_.size()), error);
      first_chunk_.Parsed(*parser_, used);
      buffer_.erase(0, used);
      if (buffer_.empty() && buffer_.capacity() > kBufferKeepBytes) buffer_ = std::string();
      if (error && error != http::error::need_more) return Refuse(error);
      PassBody();
      if (!sign.alive()) return true;
      if (error || used == 0) return MaybeContinue();
    }
    return true;
  }

  // A head that has begun comes to its end in time.
  void ArmHead() {
    if (head_timer_.value != 0) return;
    head_timer_ = loop_.RunAfter(context_.options.header_timeout, [this] {
      head_timer_ = {};
      Close();
    });
  }
  void DisarmHead() {
    if (head_timer_.value != 0) loop_.Cancel(std::exchange(head_timer_, {}));
  }

  // With the head alone: whether somebody takes the body as it comes, or has answered already.
  bool OfferStream() {
    parser_->eager(true);
    if (context_.http == nullptr) return false;
    phase_ = Phase::kStreaming;
    answered_ = false;
    stream_ = context_.http->Stream(TakeRequest(), *this);
    if (stream_ == nullptr) {
      phase_ = Phase::kRequest;
      return false;
    }
    if (answered_) EndStream(/*lost=*/false);
    return true;
  }

  // Nobody takes the body as it comes: it is kept whole. False: it says that it is too long.
  bool LimitBody() {
    const size_t most = context_.options.receive_message_bytes_max;
    parser_->body_limit(most);
    return parser_->content_length().value_or(0) <= most;
  }

  void PassBody() {
    if (stream_ == nullptr || parser_->get().body().empty()) return;
    const std::string piece = std::exchange(parser_->get().body(), {});
    stream_->OnBody(piece);
    if (answered_) EndStream(/*lost=*/false);
  }

  void RequestEnded() {
    if (phase_ != Phase::kStreaming) return Dispatch();
    phase_ = Phase::kAnswering;
    stream_->OnBodyEnd();
    if (answered_) EndStream(/*lost=*/false);
  }

  bool MaybeContinue() {
    if (!continue_sent_ && parser_->is_header_done() &&
        parser_->get()[http::field::expect] == "100-continue") {
      continue_sent_ = true;
      connection_.Write(std::string("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    return true;
  }

  bool Refuse(const boost::system::error_code& error) {
    if (stream_ != nullptr) {  // in the middle of a body that somebody takes
      EndStream(/*lost=*/true);
      return false;
    }
    HttpResponse response;
    response.status = error == http::error::body_limit     ? 413
                      : error == http::error::header_limit ? 431
                                                           : 400;
    response.headers = {{"Content-Type", "text/plain; charset=utf-8"}};
    response.body = StatusText(response.status);
    WriteWhole(std::move(response), /*keep_alive=*/false, /*head=*/false);
    return false;
  }

  // As Go's server does it: the reason is part of the status.
  bool RefuseHead(const std::string& problem) {
    const std::string status = StatusText(400) + (problem.empty() ? "" : ": " + problem);
    connection_.Write("HTTP/1.1 " + status +
                      "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
                      status);
    return false;
  }

  HttpRequest TakeRequest() {
    const auto& message = parser_->get();
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message)
      request.headers.emplace_back(field.name_string(), field.value());
    if (auto absolute = SplitAbsolute(request.target)) {  // its host counts, not the header's
      request.target = std::move(absolute->second);
      for (auto& [name, value] : request.headers) {
        if (EqualsIgnoringCase(name, "host")) value = absolute->first;
      }
    }
    request.body = std::move(parser_->get().body());
    request.remote_address = connection_.remote_address();
    return request;
  }

  void Dispatch() {
    const auto& message = parser_->get();
    const bool keep_alive = message.keep_alive() && !draining_;
    const bool head = message.method() == http::verb::head;
    phase_ = Phase::kAnswering;
    auto reply = lifeline_.Tie([this, keep_alive, head](HttpResponse response) {
      WriteWhole(std::move(response), keep_alive, head);
      Answered(keep_alive);
    });
    if (context_.http == nullptr) {
      HttpResponse response;
      response.status = 404;
      return reply(std::move(response));
    }
    if (message.method() == http::verb::options && message.target() == "*")
      return reply(HttpResponse());  // about the server as a whole
    context_.http->Handle(TakeRequest(), loop_, std::move(reply));
  }

  void Answered(bool keep_alive) {
    if (!keep_alive || draining_) return Close();
    StartRequest();
    connection_.ResumeReading();
    if (!buffer_.empty()) ParseLater();
  }

  // What is buffered: in a turn of its own, so that answers do not nest.
  void ParseLater() {
    loop_.Post(lifeline_.Tie([this] {
      if (!closed_ && !Parse()) Close();
    }));
  }

  void Close() {
    closed_ = true;
    owner_.CloseSession();
  }

  std::string StatusLine(int status) const {
    return (old_version_ ? "HTTP/1.0 " : "HTTP/1.1 ") + StatusText(status) + "\r\n";
  }

  void WriteWhole(HttpResponse response, bool keep_alive, bool head) {
    std::string out = StatusLine(response.status) + HeaderLines(response);
    if (response.status != 204)
      out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    if (!keep_alive) {
      out += "Connection: close\r\n";
    } else if (old_version_) {
      out += "Connection: keep-alive\r\n";
    }
    out += "\r\n";
    if (!head) out += response.body;
    connection_.Write(std::move(out));
    Account();
  }

  // --- HttpExchange ---
  void Reply(HttpResponse response) override {
    // A body that has not come to its end would be taken for the next request.
    reply_keep_alive_ = phase_ == Phase::kAnswering && parser_->get().keep_alive() && !draining_;
    WriteWhole(std::move(response), reply_keep_alive_, /*head=*/false);
    StreamAnswered();
  }
  void StartResponse(HttpResponse head) override {
    connection_.Write(StatusLine(head.status) + HeaderLines(head) +
                      "Transfer-Encoding: chunked\r\n\r\n");
  }
  void Write(std::string bytes) override {
    if (bytes.empty()) return;
    char size[20];
    const int n = std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    bytes.insert(0, size, static_cast<size_t>(n));
    bytes += "\r\n";
    connection_.Write(std::move(bytes));
    Account();
  }
  size_t unsent_bytes() const override { return connection_.unsent_bytes(); }
  void Finish() override {
    connection_.Write(std::string("0\r\n\r\n"));
    reply_keep_alive_ = false;
    StreamAnswered();
  }
  void PauseBody() override { body_paused_ = true; }
  void ResumeBody() override {
    if (!std::exchange(body_paused_, false)) return;
    connection_.ResumeReading();
    ParseLater();
  }

  // The handler may be on the stack: inside a callback its end waits for that to return.
  void StreamAnswered() {
    answered_ = true;
    loop_.Post(lifeline_.Tie([this] {
      if (answered_ && stream_ != nullptr) EndStream(/*lost=*/false);
    }));
  }

  void EndStream(bool lost) {
    if (stream_ == nullptr) return;
    std::shared_ptr<HttpStreamHandler> ended(std::move(stream_));
    loop_.Post([ended] {});  // it may be on the stack
    body_paused_ = false;
    answered_ = false;
    if (lost) {
      ended->OnLost();
      return Close();
    }
    Answered(reply_keep_alive_);
  }

  const ServerContext& context_;
  env::Connection& connection_;
  env::Executor& loop_;
  SessionOwner& owner_;
  const std::shared_ptr<LoopMemory> memory_;
  MemoryCharge charge_;
  std::optional<http::request_parser<http::string_body>> parser_;
  FirstChunk first_chunk_;
  std::string buffer_;
  Phase phase_ = Phase::kRequest;
  bool head_seen_ = false;
  bool head_whole_ = false;   // the head's last line is in the buffer, or was
  size_t head_scanned_ = 0;   // bytes of the buffer in which no head ends
  bool old_version_ = false;  // the request is of HTTP/1.0
  bool draining_ = false;
  bool closed_ = false;
  bool given_up_ = false;
  bool continue_sent_ = false;
  std::unique_ptr<HttpStreamHandler> stream_;
  bool body_paused_ = false;
  bool answered_ = false;  // the stream's handler has given its answer
  bool reply_keep_alive_ = false;
  env::TimerId head_timer_;
  Lifeline lifeline_;
};

}  // namespace

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [n, value] : headers) {
    if (EqualsIgnoringCase(n, name)) return std::string_view(value);
  }
  return std::nullopt;
}

std::unique_ptr<Session> NewHttp1Session(const ServerContext& context, env::Connection& connection,
                                         env::Executor& loop, SessionOwner& owner,
                                         std::shared_ptr<LoopMemory> memory) {
  return std::make_unique<Http1Session>(context, connection, loop, owner, std::move(memory));
}

}  // namespace quoin::rpc
