<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge\setting;

use auth_bridge\keys;

/**
 * A web address that keys or people are sent over: https, or this machine itself.
 */
final class address extends \admin_setting_configtext {
    public function validate($data) {
        $valid = parent::validate($data);
        if ($valid !== true || trim($data) === '') {
            return $valid;
        }
        return keys::is_safe(trim($data)) ? true : get_string('error_address', 'auth_bridge');
    }
}
