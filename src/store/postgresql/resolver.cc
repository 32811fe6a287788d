#include "store/postgresql/resolver.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <optional>
#include <string_view>

namespace godwit::store::postgresql {

namespace {

struct Hosts {
  std::vector<std::string> names;
  std::vector<std::string> ports;  // as many as names, or one, or none
};

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> out;
  while (true) {
    auto comma = list.find(',');
    out.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos) return out;
    list.remove_prefix(comma + 1);
  }
}

bool isName(const std::string& host) {
  if (host.empty() || host[0] == '/' || host[0] == '@') return false;
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  return ::inet_pton(AF_INET, host.c_str(), ignored.data()) != 1 &&
         ::inet_pton(AF_INET6, host.c_str(), ignored.data()) != 1;
}

// nullopt: nothing to look up (or not parseable, which libpq will say itself).
std::optional<Hosts> hostsOf(const std::string& url) {
  char* error = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &error);
  if (error) PQfreemem(error);
  if (!options) return std::nullopt;
  Hosts out;
  bool has_addresses = false;
  for (auto* o = options; o->keyword; ++o) {
    if (!o->val || !*o->val) continue;
    std::string_view key = o->keyword;
    if (key == "host") out.names = split(o->val);
    if (key == "port") out.ports = split(o->val);
    if (key == "hostaddr") has_addresses = true;
  }
  PQconninfoFree(options);
  if (has_addresses) return std::nullopt;
  for (const auto& n : out.names) {
    if (isName(n)) return out;
  }
  return std::nullopt;
}

std::vector<std::string> addressesOf(const std::string& name) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  std::vector<std::string> out;
  if (::getaddrinfo(name.c_str(), nullptr, &hints, &list) != 0) return out;
  for (auto* a = list; a; a = a->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(a->ai_addr, a->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      out.emplace_back(text.data());
    }
  }
  ::freeaddrinfo(list);
  return out;
}

// Every address of every host, in order, as libpq's parallel lists.
Result<Overrides> lookUp(const Hosts& hosts) {
  std::string names;
  std::string addresses;
  std::string ports;
  std::string failed;
  for (std::size_t i = 0; i < hosts.names.size(); ++i) {
    const auto& name = hosts.names[i];
    std::string port;
    if (!hosts.ports.empty()) port = hosts.ports[hosts.ports.size() == 1 ? 0 : i];
    std::vector<std::string> found = {""};
    if (isName(name)) found = addressesOf(name);
    if (found.empty()) failed = name;
    for (const auto& address : found) {
      std::string comma = names.empty() ? "" : ",";
      names += comma + name;
      addresses += comma + (isName(name) || name[0] == '/' ? address : name);
      ports += comma + port;
    }
  }
  if (names.empty()) {
    return Error(ErrorCode::kUnavailable, "The database is unavailable",
                 "cannot resolve host '" + failed + "'");
  }
  Overrides out;
  out.emplace_back("host", names);
  out.emplace_back("hostaddr", addresses);
  if (!hosts.ports.empty()) out.emplace_back("port", ports);
  return out;
}

}  // namespace

Resolver::~Resolver() {
  {
    std::lock_guard lock(mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Resolver::resolve(const std::string& url, Reactor& home,
                       std::function<void(Result<Overrides>)> done) {
  if (!hostsOf(url)) {
    home.post([done = std::move(done)] { done(Overrides()); });
    return;
  }
  std::lock_guard lock(mu_);
  queue_.push_back({url, &home, std::move(done)});
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  wake_.notify_one();
}

void Resolver::work() {
  while (true) {
    Request request;
    {
      std::unique_lock lock(mu_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      request = std::move(queue_.front());
      queue_.pop_front();
    }
    auto hosts = hostsOf(request.url);
    Result<Overrides> result = hosts ? lookUp(*hosts) : Result<Overrides>(Overrides());
    request.home->post([done = std::move(request.done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  }
}

}  // namespace godwit::store::postgresql
