<?php
// SPDX-License-Identifier: GPL-3.0-or-later

namespace auth_bridge\setting;

/**
 * The idnumber of a tenant that exists, or nothing.
 */
final class tenant extends \admin_setting_configtext {
    public function validate($data) {
        global $DB;
        $exists = trim($data) === '' || $DB->record_exists('tenant', ['idnumber' => trim($data)]);
        return $exists ? true : get_string('error_tenant', 'auth_bridge');
    }
}
