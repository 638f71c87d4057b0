//===- SafeTensorsTest.cpp - headers of weight files ----------------------===//

#include "dialects/import/SafeTensors.h"
#include "test/import/TestFiles.h"

using namespace kerf;
using namespace kerf::test;

namespace {
class SafeTensors : public testing::Test {
protected:
  llvm::Expected<SafeTensorsFile> open(const std::string &bytes) {
    dir.write("m.safetensors", bytes);
    return SafeTensorsFile::open(dir / "m.safetensors");
  }
  /// The message without the directory.
  std::string refusal(const std::string &bytes) {
    std::string text = message(open(bytes));
    size_t at = text.find(dir.path());
    return at == std::string::npos ? text : text.erase(at, dir.path().size() + 1);
  }
  std::string entryRefusal(const std::string &entry, size_t dataBytes) {
    return refusal(safetensorsHead("{\"a\":" + entry + "}") + std::string(dataBytes, '\0'));
  }
  TempDir dir;
};
} // namespace

TEST_F(SafeTensors, ReadsEntriesAndRanges) {
  // Listed out of order, padded with blanks as the reference writer does, and with a scalar and an empty tensor.
  std::string header = "{\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[6,10]},"
                       "\"a\":{\"dtype\":\"BF16\",\"shape\":[3,1],\"data_offsets\":[0,6]},"
                       "\"c\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[6,6]},"
                       "\"__metadata__\":{\"format\":\"pt\"}}   ";
  llvm::Expected<SafeTensorsFile> opened = open(safetensorsHead(header) + "abcdefghij");
  ASSERT_TRUE(!!opened) << message(opened.takeError());
  SafeTensorsFile file = std::move(*opened);
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[1].name, "c");
  const TensorInfo *a = file.find("a"), *b = file.find("b");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(file.find("d"), nullptr);
  EXPECT_EQ(a->dtype, DType::BF16);
  EXPECT_EQ(formatShape(a->shape), "[3, 1]");
  EXPECT_EQ(b->bytes, 4u);
  char bytes[4];
  ASSERT_EQ(message(file.read(*b, 0, bytes)), "");
  EXPECT_EQ(std::string(bytes, 4), "ghij");
  ASSERT_EQ(message(file.read(*a, 2, bytes)), "");
  EXPECT_EQ(std::string(bytes, 4), "cdef");
  EXPECT_NE(message(file.read(*a, 3, bytes)).find("a read of 'a' must stay within its 6 bytes, got 4 bytes at 3"),
            std::string::npos);
  EXPECT_NE(message(file.read(*a, ~0ull, bytes)).find("must stay within"), std::string::npos);
}

TEST_F(SafeTensors, NoticesAFileThatShrank) {
  SafeTensorsFile file = llvm::cantFail(
      open(safetensorsHead("{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]}}") + "12345678"));
  ASSERT_EQ(truncate(file.path().str().c_str(), file.fileBytes() - 3), 0);
  char bytes[8];
  EXPECT_NE(message(file.read(*file.find("a"), 0, bytes)).find("as when it was opened"), std::string::npos);
}

TEST_F(SafeTensors, RefusesBadHeaders) {
  EXPECT_EQ(refusal("1234567"), "m.safetensors: must begin with the 8-byte length of its header, got a file of 7 "
                                "bytes; it is truncated, download it again");
  EXPECT_EQ(refusal(std::string(20, '\0')), "m.safetensors: the header must have 2 to 100000000 bytes, got 0; it is "
                                            "not a safetensors file");
  EXPECT_EQ(refusal(std::string(20, '\xff')), "m.safetensors: the header must have 2 to 100000000 bytes, got "
                                              "18446744073709551615; it is not a safetensors file");
  EXPECT_EQ(refusal(safetensorsHead("{}").substr(0, 9)),
            "m.safetensors: the header must lie inside the file, got a header of 2 bytes in a file of 9; it is "
            "truncated, download it again");
  EXPECT_NE(refusal(safetensorsHead("{\"a\"")).find("m.safetensors: must be valid JSON"), std::string::npos);
  EXPECT_EQ(refusal(safetensorsHead("[]")), "m.safetensors: must be an object, got an array");
  EXPECT_EQ(refusal(safetensorsHead("{\"a\":1,\"a\":2}")),
            "m.safetensors: key 'a' must be given once, got it twice in one object");
  EXPECT_EQ(refusal(safetensorsHead("{\"__metadata__\":{\"a\":1}}")),
            "m.safetensors: __metadata__: key 'a' must be a string, got 1");
}

TEST_F(SafeTensors, RefusesBadEntries) {
  EXPECT_EQ(entryRefusal("{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}", 8),
            "m.safetensors: tensor 'a': key 'x' is not understood; a tensor has dtype, shape and data_offsets");
  EXPECT_EQ(entryRefusal("{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,8]}", 8),
            "m.safetensors: tensor 'a': shape [2, 3] of F32 must have 24 bytes, got 8");
  EXPECT_EQ(entryRefusal("{\"dtype\":\"F32\",\"shape\":[4611686018427387904,8],\"data_offsets\":[0,0]}", 0),
            "m.safetensors: tensor 'a': shape [4611686018427387904, 8] must fit in 64 bits");
  EXPECT_EQ(entryRefusal("{\"dtype\":\"F32\",\"shape\":[4611686018427387904,8,0],\"data_offsets\":[0,0]}", 0), "");
  EXPECT_EQ(entryRefusal("{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}", 2),
            "m.safetensors: tensor 'a': shape [3] of F4 must have a whole number of bytes, got 12 bits");
  EXPECT_EQ(entryRefusal("{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}", 4),
            "m.safetensors: tensor 'a': key 'shape' must be an integer from 0 to 9223372036854775807, got -1");
  EXPECT_EQ(entryRefusal("{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}", 4),
            "m.safetensors: tensor 'a': key 'data_offsets' must be [begin, end] with begin not above end, got an "
            "array");
  EXPECT_EQ(entryRefusal("{\"shape\":[1]}", 0),
            "m.safetensors: tensor 'a': key 'dtype' must be a string, got none\n"
            "m.safetensors: tensor 'a': key 'data_offsets' must be an array of integers, got none\n"
            "m.safetensors: tensor 'a': key 'data_offsets' must be [begin, end] with begin not above end, got none");
}

TEST_F(SafeTensors, RefusesOverlapsGapsAndWrongEnds) {
  auto two = [&](const std::string &second, size_t dataBytes) {
    return refusal(safetensorsHead("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                                   "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" +
                                   second + "}}") +
                   std::string(dataBytes, '\0'));
  };
  EXPECT_EQ(two("[4,8]", 8), "");
  EXPECT_EQ(two("[3,7]", 7), "m.safetensors: tensor 'b' must begin at byte 4 of the data, where the one before it "
                             "ends, got 3; tensors overlap");
  EXPECT_EQ(two("[5,9]", 9), "m.safetensors: tensor 'b' must begin at byte 4 of the data, where the one before it "
                             "ends, got 5; there is a gap");
  EXPECT_EQ(two("[4,8]", 7), "m.safetensors: must have 8 bytes of data, got 7; it is truncated, download it again");
  EXPECT_EQ(two("[4,8]", 9), "m.safetensors: must end with its last tensor at byte 8 of the data, got 9 bytes");
}

TEST_F(SafeTensors, ListsTypesItDoesNotRead) {
  SafeTensorsFile file =
      llvm::cantFail(open(safetensorsHead("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]},"
                                          "\"b\":{\"dtype\":\"NEW3\",\"shape\":[5],\"data_offsets\":[2,4]}}") +
                          "1234"));
  EXPECT_EQ(file.find("a")->dtype, DType::Other);
  EXPECT_EQ(file.find("a")->dtypeName, "F8_E4M3");
  EXPECT_EQ(file.find("b")->dtypeName, "NEW3");
}

TEST_F(SafeTensors, RecognisesAGitLfsPointer) {
  EXPECT_EQ(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"),
            "m.safetensors: is a Git LFS pointer, not the file itself; run 'git lfs install' and 'git lfs pull' in "
            "the repository it was cloned from");
}

TEST_F(SafeTensors, RefusesWhatIsNoFile) {
  EXPECT_NE(message(SafeTensorsFile::open(dir / "none")).find("cannot be opened: No such file"), std::string::npos);
  EXPECT_NE(message(SafeTensorsFile::open(dir.path())).find("must be a regular file"), std::string::npos);
}
