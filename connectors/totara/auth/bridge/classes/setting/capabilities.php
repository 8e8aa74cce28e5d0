<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge\setting;

use auth_bridge\configuration;

/**
 * Capabilities by name, one a line. A name that does not exist would protect nobody, so it is not taken.
 */
final class capabilities extends \admin_setting_configtextarea {
    public function validate($data) {
        $unknown = array_filter(configuration::words($data), static function (string $name): bool {
            // One that this version lacks may stay in the list it came in.
            return !get_capability_info($name) && !in_array($name, configuration::DENIED_CAPABILITIES, true);
        });
        return $unknown ? get_string('error_capabilities', 'auth_bridge', s(implode(', ', $unknown))) : true;
    }
}
