// Server-sent events, timers, workers, forms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "base/reactor.h"
#include "godwit/http/forms.h"
#include "godwit/http/sse.h"
#include "godwit/http/timer.h"
#include "godwit/http/workers.h"
#include "http/response_writer.h"
#include "support.h"

namespace godwit::http::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(Sse, EventsHeartbeatAndLastEventId) {
  std::mutex mu;
  std::vector<EventStream> streams;
  EventStream::Options options;
  options.heartbeat = milliseconds(50);
  TestServer s([&](const Request& r, Reply reply) {
    EventStream e = EventStream::start(r, std::move(reply), options);
    e.send({"two\nlines\r\nthree", "news", "42"});
    e.send({"after " + e.lastEventId(), "bad\nname", "bad\nid"});
    std::lock_guard lock(mu);
    streams.push_back(e);
  });
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 41\r\n\r\n");
  std::string all;
  ASSERT_TRUE(eventually([&] {
    all += c.readFor(5);
    return all.find(": \n\n") != std::string::npos;
  }));
  EXPECT_THAT(all, HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_THAT(all, HasSubstr("id: 42\nevent: news\ndata: two\ndata: lines\ndata: three\n\n"));
  EXPECT_THAT(all, HasSubstr("data: after 41\n\n"));
  EXPECT_THAT(all, testing::Not(HasSubstr("bad")));
  EXPECT_TRUE(streams[0].send("from another thread"));
  ASSERT_TRUE(eventually([&] {
    all += c.readFor(5);
    return all.find("another thread\n\n") != std::string::npos;
  }));
  c.close();
  EXPECT_TRUE(eventually([&] { return streams[0].closed(); }));
  EXPECT_FALSE(streams[0].send("nobody"));
}

TEST(Sse, DrainTellsWhenToComeBack) {
  std::vector<EventStream> streams;
  std::atomic<int> count{0};
  TestServer s([&](const Request& r, Reply reply) {
    streams.push_back(EventStream::start(r, std::move(reply)));
    ++count;
  });
  Client c(s.url());
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return count == 1; }));
  s->drain(Deadline::after(seconds(10)));
  EXPECT_EQ(c.read().body, "retry: 2000\n\n");
  c.close();
  DrainReport r = s.join();
  EXPECT_EQ(r.aborted, 0U);
  EXPECT_EQ(r.finished, 1U);
}

TEST(TimerTest, OnceRepeatedCancelledAndDrained) {
  std::atomic<int> once{0};
  std::atomic<int> often{0};
  std::atomic<int> never{0};
  TestServer s([](const Request&, Reply r) { r.send(200, ""); });
  Timer a = Timer::after(*s, milliseconds(20), [&] { ++once; });
  Timer b = Timer::every(*s, milliseconds(10), [&] { ++often; });
  {
    Timer c = Timer::after(*s, milliseconds(20), [&] { ++never; });
  }
  EXPECT_TRUE(eventually([&] { return once == 1 && often > 5; }));
  b.cancel();
  std::atomic<bool> fence{false};
  s->reactor(0).post([&] { fence = true; });
  ASSERT_TRUE(eventually([&] { return fence.load(); }));
  int then = often;
  Timer d = Timer::after(*s, milliseconds(100), [&] { ++never; });
  s->drain(Deadline::after(seconds(5)));
  s.join();
  EXPECT_EQ(never, 0);
  EXPECT_EQ(often, then);
  EXPECT_EQ(once, 1);
}

TEST(WorkersTest, RunAnswerAndRefuse) {
  std::unique_ptr<Workers> workers;
  std::atomic<bool> go{false};
  std::atomic<int> started{0};
  TestServer s(
      [&](const Request&, Reply reply) {
        workers->run(std::move(reply), [&](Reply r) {
          ++started;
          while (!go) std::this_thread::sleep_for(milliseconds(1));
          r.send(200, "worked");
        });
      },
      TestServer::defaults(),
      [&](Server& server) { workers = std::make_unique<Workers>(server, 1, 1); });
  std::vector<std::unique_ptr<Client>> clients;
  auto ask = [&] {
    clients.push_back(std::make_unique<Client>(s.url()));
    clients.back()->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  };
  ask();
  ASSERT_TRUE(eventually([&] { return started == 1; }));
  ask();
  ASSERT_TRUE(eventually([&] { return workers->queued() == 1; }));
  ask();
  Answer full = clients[2]->read();
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(full.header("Retry-After"), "1");
  EXPECT_EQ(workers->refused(), 1U);
  s->drain(Deadline::after(seconds(10)));  // queued and running work is finished
  go = true;
  EXPECT_EQ(clients[0]->read().body, "worked");
  EXPECT_EQ(clients[1]->read().body, "worked");
  clients.clear();
  DrainReport r = s.join();
  EXPECT_EQ(r.finished, 2U);
  EXPECT_EQ(r.aborted, 0U);
  EXPECT_FALSE(workers->submit([] {}));
}

TEST(WorkersTest, TheDrainDeadlineDropsWhatIsQueued) {
  std::unique_ptr<Workers> workers;
  std::atomic<bool> go{false};
  std::atomic<int> worked{0};
  TestServer s(
      [&](const Request&, Reply reply) {
        workers->run(std::move(reply), [&](Reply r) {
          while (!go) std::this_thread::sleep_for(milliseconds(1));
          ++worked;
          r.send(200, "too late");
        });
      },
      TestServer::defaults(),
      [&](Server& server) { workers = std::make_unique<Workers>(server, 1, 10); });
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>(s.url()));
    clients.back()->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  ASSERT_TRUE(eventually([&] { return workers->queued() == 2; }));
  s->drain(Deadline::after(milliseconds(200)));
  std::this_thread::sleep_for(milliseconds(400));
  go = true;
  EXPECT_EQ(s.join().aborted, 3U);
  EXPECT_EQ(worked, 1);
}

TEST(Forms, Fields) {
  EXPECT_EQ(urlDecode("a%20b+c"), "a b+c");
  EXPECT_EQ(urlDecode("a+c", true), "a c");
  EXPECT_EQ(urlDecode("%4"), std::nullopt);
  EXPECT_EQ(urlEncode("a b/ü"), "a%20b%2F%C3%BC");
  EXPECT_EQ(parseForm("a=1&b=%20&&c&=d&e=%zz"),
            (FormFields{{"a", "1"}, {"b", " "}, {"c", ""}, {"", "d"}}));
  EXPECT_EQ(formValue("a=1&b=2&b=3", "b"), "2");
  EXPECT_EQ(formValue("a=1", "b"), std::nullopt);
}

TEST(Forms, BasicAuthAndCookies) {
  std::vector<Header> h{{"authorization", "bAsIc YWxpY2U6czM6Y3I="}, {"Cookie", "a=1; b=2;c=3"}};
  Request r;
  r.headers = h;
  auto auth = basicAuth(r);
  ASSERT_TRUE(auth);
  EXPECT_EQ(auth->user, "alice");
  EXPECT_EQ(auth->password, "s3:cr");
  EXPECT_EQ(cookie(r, "b"), "2");
  EXPECT_EQ(cookie(r, "c"), "3");
  EXPECT_EQ(cookie(r, "d"), std::nullopt);
  for (const char* bad : {"", "Basic", "Basic ***", "Basic YWJj", "Bearer YWxpY2U6czM6Y3I="}) {
    h[0].value = bad;
    EXPECT_FALSE(basicAuth(r)) << bad;
  }
}

const std::string kMultipart =
    "preamble\r\n--XyZ\r\nContent-Disposition: form-data; name=\"field\"\r\n\r\nvalue\r\n"
    "--XyZ  \r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".txt\"\r\n"
    "Content-Type: text/plain\r\n\r\nline one\r\n--XyQ\r\nline\r\n--XyZ\r\n"
    "Content-Disposition: form-data; name=empty\r\n\r\n\r\n--XyZ--\r\nepilogue";

TEST(Forms, Multipart) {
  std::vector<Header> h{{"Content-Type", "multipart/form-data; charset=x; boundary=\"XyZ\""}};
  Request r;
  r.headers = h;
  r.body = kMultipart;
  Result<std::vector<Part>> parts = parseMultipart(r);
  ASSERT_TRUE(parts.ok()) << parts.error().message;
  ASSERT_EQ(parts->size(), 3U);
  EXPECT_EQ((*parts)[0].head.name, "field");
  EXPECT_EQ((*parts)[0].data, "value");
  EXPECT_EQ((*parts)[1].head.filename, "a \"b\".txt");
  EXPECT_EQ((*parts)[1].head.content_type, "text/plain");
  EXPECT_EQ((*parts)[1].data, "line one\r\n--XyQ\r\nline");
  EXPECT_EQ((*parts)[2].head.name, "empty");
  EXPECT_EQ((*parts)[2].data, "");
}

TEST(Forms, MultipartSplitAnywhere) {
  std::vector<Header> h{{"Content-Type", "multipart/form-data; boundary=XyZ"}};
  Request r;
  r.headers = h;
  auto parse = [&](std::size_t split) {
    std::string log;
    MultipartParser::Events e;
    e.begin = [&](const PartHead& p) { log += "[" + p.name + "|" + p.filename + "]"; };
    e.data = [&](std::string_view d) { log += d; };
    e.end = [&] { log += "."; };
    auto p = MultipartParser::forRequest(r, e);
    EXPECT_TRUE(p->feed(std::string_view(kMultipart).substr(0, split)).ok());
    EXPECT_TRUE(p->feed(std::string_view(kMultipart).substr(split)).ok());
    EXPECT_TRUE(p->finish().ok());
    return log;
  };
  const std::string whole = parse(kMultipart.size());
  EXPECT_THAT(whole, HasSubstr("[field|]value.[file|"));
  for (std::size_t i = 0; i < kMultipart.size(); ++i) ASSERT_EQ(parse(i), whole) << i;
}

TEST(Forms, BrokenMultipart) {
  std::vector<Header> h{{"Content-Type", "multipart/form-data; boundary=b"}};
  Request r;
  r.headers = h;
  for (const char* body :
       {"", "--b\r\n", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nno end",
        "--b\r\n\r\nno disposition\r\n--b--", "--b\r\nnonsense\r\n\r\nx\r\n--b--",
        "--bx\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--"}) {
    r.body = body;
    EXPECT_FALSE(parseMultipart(r).ok()) << body;
  }
  for (const char* type :
       {"", "text/plain", "multipart/form-data", "multipart/form-data; boundary="}) {
    h[0].value = type;
    EXPECT_FALSE(parseMultipart(r).ok()) << type;
  }
  h[0].value = "multipart/form-data; boundary=b";
  std::string many;
  for (int i = 0; i < 1001; ++i)
    many += "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
  r.body = many;
  EXPECT_EQ(parseMultipart(r).error().code, ErrorCode::kLimit);
  std::string huge = "--b\r\nX: " + std::string(10'000, 'x');
  r.body = huge;
  EXPECT_EQ(parseMultipart(r).error().code, ErrorCode::kLimit);
}

TEST(Dates, AllThreeForms) {
  EXPECT_EQ(httpDate(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(parseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parseHttpDate("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parseHttpDate("Sun Nov  6 08:49:37 1994"), 784111777);
  for (const char* bad :
       {"", "yesterday", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"}) {
    EXPECT_EQ(parseHttpDate(bad), -1) << bad;
  }
}

}  // namespace
}  // namespace godwit::http::test
