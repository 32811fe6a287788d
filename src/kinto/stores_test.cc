#include "kinto/stores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace godwit::kinto {
namespace {

using testing::HasSubstr;

Settings inFolder(const std::string& folder) {
  SettingsInput input;
  input.flags.push_back({"godwit.data_dir", folder, "--data-dir"});
  auto settings = Settings::load(input);
  EXPECT_TRUE(settings.ok());
  return *settings;
}

TEST(DataFolder, that_cannot_be_one_is_named_with_the_reason_and_the_setting) {
  for (const char* place : {"/dev/null", "/dev/null/below"}) {
    auto folder = dataFolder(inFolder(place));
    ASSERT_FALSE(folder.ok()) << place;
    EXPECT_THAT(folder.error().message, HasSubstr(std::string("folder ") + place + ": Not a"));
    EXPECT_THAT(folder.error().message, HasSubstr("--data-dir"));
  }
}

TEST(DataFolder, is_made_for_its_owner_alone) {
  std::string place = testing::TempDir() + "stores_test." + std::to_string(::getpid());
  auto folder = dataFolder(inFolder(place));
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(*folder, place);
  struct stat info {};
  ASSERT_EQ(::stat(place.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_TRUE(dataFolder(inFolder(place)).ok());  // there is one already
  ::rmdir(place.c_str());
}

}  // namespace
}  // namespace godwit::kinto
