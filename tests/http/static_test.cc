#include "godwit/http/static_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "godwit/http/forms.h"
#include "godwit/http/router.h"
#include "support.h"

namespace godwit::http::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

struct Site {
  std::string base = tempDir();
  std::string root = base + "/www";
  Site() {
    fs::create_directories(root + "/folder/deep");
    fs::create_directories(root + "/listed");
    write(base + "/secret.txt", "secret");
    write(root + "/page.html", "<p>0123456789</p>");
    write(root + "/.hidden", "hidden");
    write(root + "/folder/index.html", "index");
    write(root + "/folder/a b.txt", "spaced");
    write(root + "/listed/<x>.txt", "x");
    write(root + "/app.js", "plain js");
    write(root + "/app.js.gz", "gzipped");
    write(root + "/app.js.br", "brotli");
    write(root + "/empty", "");
    fs::create_symlink("../secret.txt", root + "/link.txt");
    fs::create_symlink("..", root + "/up");
    fs::create_symlink("page.html", root + "/inside.html");
    ::mkfifo((root + "/fifo").c_str(), 0600);
  }
  ~Site() { fs::remove_all(base); }
};

struct StaticServer {
  Site site;
  Router router;
  StaticFiles files;
  TestServer server;
  explicit StaticServer(StaticFiles::Options o = {})
      : files(StaticFiles::open(site.root, std::move(o)).value()),
        server(nullptr, TestServer::defaults(), [this](Server& s) {
          router.any("/{path...}", [this](const Request& r, const Params& p, Reply reply) {
            files.serve(r, p["path"], std::move(reply));
          });
          router.attach(s);
        }) {}
};

Answer ask(Client& c, const std::string& target, const std::string& headers,
           const std::string& method = "GET") {
  c.send(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n");
  return c.read(method == "HEAD");
}

TEST(Static, FilesWithTypesAndValidators) {
  StaticServer s;
  Client c(s.server.url());
  Answer a = c.get("/page.html");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.body, "<p>0123456789</p>");
  EXPECT_EQ(a.header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(a.header("X-Content-Type-Options"), "nosniff");
  const std::string etag = a.header("ETag");
  const std::string date = a.header("Last-Modified");
  EXPECT_EQ(ask(c, "/page.html", "If-None-Match: \"x\", W/" + etag + "\r\n").status, 304);
  EXPECT_EQ(ask(c, "/page.html", "If-None-Match: *\r\n").status, 304);
  EXPECT_EQ(ask(c, "/page.html", "If-None-Match: \"x\"\r\n").status, 200);
  EXPECT_EQ(ask(c, "/page.html", "If-Modified-Since: " + date + "\r\n").status, 304);
  EXPECT_EQ(ask(c, "/page.html", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status,
            200);
  EXPECT_EQ(
      ask(c, "/page.html", "If-None-Match: \"x\"\r\nIf-Modified-Since: " + date + "\r\n").status,
      200);
  a = ask(c, "/page.html", "", "HEAD");
  EXPECT_EQ(a.header("Content-Length"), "17");
  EXPECT_EQ(c.get("/empty").body, "");
  EXPECT_EQ(ask(c, "/page.html", "Content-Length: 0\r\n", "POST").status, 405);
  EXPECT_EQ(c.get("/folder/a%20b.txt").body, "spaced");
}

TEST(Static, Ranges) {
  StaticServer s;
  Client c(s.server.url());
  const std::string etag = c.get("/page.html").header("ETag");
  struct Case {
    const char* range;
    int status;
    const char* body;
    const char* content_range;
  };
  for (const Case& k : {Case{"bytes=3-5", 206, "012", "bytes 3-5/17"},
                        {"bytes=13-", 206, "</p>", "bytes 13-16/17"},
                        {"bytes=-4", 206, "</p>", "bytes 13-16/17"},
                        {"bytes=-100", 206, "<p>0123456789</p>", "bytes 0-16/17"},
                        {"bytes=0-99", 206, "<p>0123456789</p>", "bytes 0-16/17"},
                        {"bytes=17-", 416, "range not satisfiable\n", "bytes */17"},
                        {"bytes=-0", 416, "range not satisfiable\n", "bytes */17"},
                        {"bytes=5-3", 200, "<p>0123456789</p>", ""},
                        {"bytes=0-1,3-4", 200, "<p>0123456789</p>", ""},
                        {"bytes=a-b", 200, "<p>0123456789</p>", ""},
                        {"lines=1-2", 200, "<p>0123456789</p>", ""}}) {
    SCOPED_TRACE(k.range);
    Answer a = ask(c, "/page.html", std::string("Range: ") + k.range + "\r\n");
    EXPECT_EQ(a.status, k.status);
    EXPECT_EQ(a.body, k.body);
    EXPECT_EQ(a.header("Content-Range"), k.content_range);
  }
  EXPECT_EQ(ask(c, "/page.html", "Range: bytes=3-5\r\nIf-Range: " + etag + "\r\n").status, 206);
  EXPECT_EQ(ask(c, "/page.html", "Range: bytes=3-5\r\nIf-Range: \"other\"\r\n").status, 200);
  EXPECT_EQ(ask(c, "/empty", "Range: bytes=0-\r\n").status, 416);
}

TEST(Static, PrecompressedSiblings) {
  StaticServer s;
  Client c(s.server.url());
  auto get = [&](const std::string& accept) {
    Answer a = ask(c, "/app.js", accept.empty() ? "" : "Accept-Encoding: " + accept + "\r\n");
    EXPECT_EQ(a.header("Content-Type"), "text/javascript; charset=utf-8");
    EXPECT_EQ(a.header("Vary"), "Accept-Encoding");
    return a.body + "|" + a.header("Content-Encoding");
  };
  EXPECT_EQ(get(""), "plain js|");
  EXPECT_EQ(get("gzip"), "gzipped|gzip");
  EXPECT_EQ(get("gzip, br"), "brotli|br");
  EXPECT_EQ(get("gzip, br;q=0.5"), "gzipped|gzip");
  EXPECT_EQ(get("br;q=0, gzip;q=0"), "plain js|");
  EXPECT_EQ(get("*"), "brotli|br");
  EXPECT_EQ(get("identity"), "plain js|");
  // Older than what it was made from: not used.
  fs::last_write_time(s.site.root + "/app.js.br",
                      fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(get("gzip, br"), "gzipped|gzip");
}

TEST(Static, FoldersAndIndex) {
  StaticServer s;
  Client c(s.server.url());
  Answer a = c.get("/folder?x=1");
  EXPECT_EQ(a.status, 301);
  EXPECT_EQ(a.header("Location"), "/folder/?x=1");
  EXPECT_EQ(c.get("/folder/").body, "index");
  EXPECT_EQ(c.get("/listed/").status, 404);
  EXPECT_EQ(c.get("/page.html/").status, 404);
  EXPECT_EQ(c.get("//folder").status, 404);
  StaticFiles::Options o;
  o.list_folders = true;
  StaticServer listing(o);
  Client d(listing.server.url());
  std::string html = d.get("/listed/").body;
  EXPECT_THAT(html, HasSubstr("&lt;x&gt;.txt"));
  EXPECT_THAT(html, HasSubstr("%3Cx%3E.txt"));
  EXPECT_THAT(d.get("/").body, Not(HasSubstr("hidden")));
}

TEST(Static, NothingOutsideIsReachable) {
  StaticServer s;
  Client c(s.server.url());
  for (const char* target : {"/../secret.txt",
                             "/..%2fsecret.txt",
                             "/%2e%2e/secret.txt",
                             "/folder/../../secret.txt",
                             "/folder/..%2f..%2fsecret.txt",
                             "/link.txt",
                             "/up/secret.txt",
                             "/up/www/page.html",
                             "/inside.html",
                             "/%2e%2e%2fsecret.txt",
                             "/..%5csecret.txt",
                             "/.hidden",
                             "/folder/%00",
                             "/page.html%00.txt",
                             "/fifo",
                             "/./page.html",
                             "/folder/./index.html",
                             "/%2fetc%2fpasswd",
                             "//etc/passwd",
                             "/....//secret.txt"}) {
    Answer a = c.get(target);
    EXPECT_EQ(a.status, 404) << target;
    EXPECT_THAT(a.body, Not(HasSubstr("secret"))) << target;
  }
  EXPECT_FALSE(StaticFiles::open(s.site.base + "/none").ok());
  EXPECT_FALSE(StaticFiles::open(s.site.root + "/page.html").ok());
}

}  // namespace
}  // namespace godwit::http::test
