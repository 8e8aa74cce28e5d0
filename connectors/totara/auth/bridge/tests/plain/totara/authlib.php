<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/** The parent of Totara's authentication plugins, as far as ours uses it. */
abstract class auth_plugin_base {
    public $authtype;
    public $config;
}
