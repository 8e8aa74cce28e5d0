<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/** What came back: status, headers by their small names, and the page. */
final class answer {
    public $status;
    public $headers = [];
    public $body;

    /** @var string[] "name=value" of the cookies that were set */
    public $cookies = [];

    /** @var string the path that it leads to, or the address if that is not of the site */
    public $location;

    public function __construct(array $lines, string $body, string $site) {
        $this->status = (int) explode(' ', array_shift($lines))[1];
        $this->body = $body;
        foreach ($lines as $line) {
            list($name, $value) = explode(': ', $line, 2) + [1 => ''];
            if (strtolower($name) === 'set-cookie') {
                $this->cookies[] = explode(';', $value)[0];
            }
            $this->headers[strtolower($name)] = $value;
        }
        $this->location = preg_replace('~\A' . preg_quote($site) . '(?=/)~', '', $this->header('location'));
    }

    public function header(string $name): string {
        return $this->headers[$name] ?? '';
    }

    public function asks_again(): bool {
        return $this->status === 200 && strpos($this->body, 'name="again" value="1"') !== false;
    }
}

/**
 * A browser at the test site, with its cookie. It goes nowhere by itself.
 */
final class browser {
    /** @var string the name of its session */
    public $cookie = '';

    private $site;

    public function __construct(site $site) {
        $this->site = $site;
    }

    public function get(string $path): answer {
        return $this->ask('GET', $path, '');
    }

    /** @param array|string $fields those of a form, or its body */
    public function post(string $path, $fields = []): answer {
        return $this->ask('POST', $path, is_string($fields) ? $fields : http_build_query($fields));
    }

    private function ask(string $method, string $path, string $body): answer {
        $headers = ['Connection: close', 'Content-Type: application/x-www-form-urlencoded'];
        if ($this->cookie !== '') {
            $headers[] = "Cookie: TotaraSession=$this->cookie";
        }
        $options = ['method' => $method, 'header' => $headers, 'content' => $body, 'ignore_errors' => true, 'follow_location' => 0];
        $url = $this->site->served->url;
        $stream = fopen($url . $path, 'r', false, stream_context_create(['http' => $options + ['timeout' => 120]]));
        $answer = new answer(stream_get_meta_data($stream)['wrapper_data'], stream_get_contents($stream), $url);
        check($answer->status < 500, $answer->body);
        foreach ($answer->cookies as $cookie) {
            $this->cookie = substr($cookie, strlen('TotaraSession='));
        }
        return $answer;
    }

    /** Begin a sign-on; its nonce. */
    public function begin(): string {
        $answer = $this->get('/auth/bridge/start.php');
        check(preg_match('~\A' . preg_quote(maker::ISSUER) . '/sso/totara\?nonce=([0-9a-f]{32})\z~', $answer->header('location'), $found) === 1,
            "start.php leads to {$answer->header('location')} $answer->body");
        return $found[1];
    }

    /** Post a token as the bridge's page does, and once more if the site's own form asks for that. */
    public function bring(string $token): answer {
        $answer = $this->post('/auth/bridge/login.php', ['token' => $token]);
        return $answer->asks_again() ? $this->post('/auth/bridge/login.php', ['token' => $token, 'again' => 1]) : $answer;
    }

    /** What its session holds: "user", and what was noted in it. */
    public function session(): array {
        return json_decode($this->get('/here.php')->body, true);
    }

    /** The id of who is signed in, 0 for nobody. */
    public function user(): int {
        return $this->session()['user'];
    }
}
