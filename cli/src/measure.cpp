// SPDX-License-Identifier: LGPL-2.1-or-later
#include <unistd.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/image_file.hpp"
#include "ashlar/cli/policy_files.hpp"
#include "ashlar/cli/prediction.hpp"

namespace ashlar::cli {

namespace {

Outcome<BuilderFacts> builder_facts(const Arguments& arguments) {
  BuilderFacts facts;
  facts.identity = arguments.builder_identity;
  if (arguments.policy_directory.empty())
    return facts;
  const policy::Policy policy = TRY(load_policy(arguments.policy_directory));
  facts.policy_digest = policy.digest();
  return facts;
}

// A manifest is compared with evidence, which only a guest with a TPM 2.0 has to give.
Status require_evidence(const Guest& guest, const Arguments& arguments) {
  if (arguments.manifest_file.empty())
    return {};
  const bool old_profile = arguments.profile == measure::to_string(measure::Profile::pv_grub);
  if (!old_profile && guest.vtpm == measure::to_string(measure::Vtpm::tpm20))
    return {};
  const bool old_tpm = guest.vtpm == measure::to_string(measure::Vtpm::tpm12);
  return failure(ErrorCode::unsupported, "writing the reference manifest",
                 old_profile ? "the profile pv-grub is for a TPM 1.2, which gives no evidence: "
                               "choose uapi or grub, and have the guest built with --vtpm 2.0"
                 : old_tpm   ? "a guest with a TPM 1.2 gives no evidence that it could be compared "
                               "with: have the guest built with --vtpm 2.0"
                             : "a guest without a TPM gives no evidence that it could be compared "
                               "with: have it built with --vtpm 2.0 (ashlar_vtpm = \"2.0\" in its "
                               "file), and say so here too");
}

Status require_files(const Guest& guest) {
  std::vector<std::string> images = guest.initrds;
  images.insert(images.begin(), *guest.kernel);
  for (const std::string& image : images)
    if (named_by_digest(image))
      return failure(ErrorCode::invalid, "measuring " + printable(image),
                     "measure reads the file itself: give it, not its digest");
  return {};
}

} // namespace

Outcome<std::string> measure_files(const Arguments& arguments) {
  const Guest guest = TRY(guest_of(arguments));
  const Result<ashlar_v1_Create> create = create_request(guest);
  if (!create)
    return std::unexpected(Problem::usage(create.error()));
  if (const Status possible = require_evidence(guest, arguments); !possible)
    return std::unexpected(Problem::usage(possible.error()));
  if (const Status given = require_files(guest); !given)
    return std::unexpected(Problem::usage(given.error()));
  const BuilderFacts facts = TRY(builder_facts(arguments));
  Progress progress(STDERR_FILENO);
  std::vector<ImageFile> images;
  progress.show("hashing " + *guest.kernel, 0, 0);
  images.push_back(TRY(open_image(*guest.kernel, Hashing::all_banks)));
  for (const std::string& initrd : guest.initrds) {
    progress.show("hashing " + initrd, 0, 0);
    images.push_back(TRY(open_image(initrd, Hashing::all_banks)));
  }
  progress.clear();
  const Result<std::vector<measure::Event>> events = predicted_events(*create, images, facts);
  if (!events)
    return std::unexpected(Problem::usage(events.error()));
  const measure::Profile profile = TRY(measure::profile_from_text(arguments.profile));
  const Prediction prediction = TRY(predict(profile, *events));
  TRY(write_logs(prediction, arguments.log_file, arguments.cel_file));
  if (!arguments.manifest_file.empty())
    TRY(write_manifest(prediction, guest.uuid, arguments.manifest_file));
  return arguments.json ? json_text(prediction_json(prediction)) + "\n"
                        : prediction_text(prediction);
}

} // namespace ashlar::cli
