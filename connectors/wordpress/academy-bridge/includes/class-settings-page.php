<?php
/**
 * The settings page, with the button that tries the connection.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

defined( 'ABSPATH' ) || exit;

/**
 * For administrators only: who sets the secret can sign in as anybody.
 */
final class Settings_Page {

	const PAGE       = 'academy-bridge';
	const CAPABILITY = 'manage_options';
	const TEST       = 'academy_bridge_test';

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_action( 'admin_menu', array( self::class, 'add' ), 60 );
		add_action( 'admin_init', array( self::class, 'register_settings' ) );
		add_action( 'admin_post_' . self::TEST, array( self::class, 'test' ) );
		add_filter( 'plugin_action_links_' . plugin_basename( PLUGIN_FILE ), array( self::class, 'link' ) );
	}

	/**
	 * The page, below WooCommerce where that is there.
	 */
	public static function add(): void {
		$parent = class_exists( 'WooCommerce' ) ? 'woocommerce' : 'options-general.php';
		add_submenu_page( $parent, 'Academy Bridge', 'Academy Bridge', self::CAPABILITY, self::PAGE, array( self::class, 'show' ) );
	}

	/**
	 * A link to it in the list of plugins.
	 *
	 * @param string[] $links Links.
	 */
	public static function link( $links ) {
		array_unshift( $links, '<a href="' . esc_url( self::url() ) . '">' . esc_html__( 'Settings', 'academy-bridge' ) . '</a>' );
		return $links;
	}

	/**
	 * The option, and a paragraph for the shop's privacy policy.
	 */
	public static function register_settings(): void {
		register_setting( self::PAGE, Settings::OPTION, array( 'sanitize_callback' => array( self::class, 'clean' ) ) );
		$text = __( 'When you go from this shop to the learning site, we send it your user number, name, e-mail address and language, so that it knows you. If you buy a course as a gift, we send it the address you give. For "My courses" we ask it which courses you have, how far you are, and for your certificates.', 'academy-bridge' );
		wp_add_privacy_policy_content( 'Academy Bridge', wp_kses_post( wpautop( $text ) ) );
	}

	/**
	 * What is stored of what was sent. What is wrong is said, and the old value stays.
	 *
	 * @param mixed $sent The form.
	 * @return array<string,mixed>
	 */
	public static function clean( $sent ): array {
		$sent    = is_array( $sent ) ? $sent : array();
		$stored  = Settings::all();
		$address = is_string( $sent['address'] ?? null ) ? trim( $sent['address'] ) : ( $stored['address'] ?? '' );
		$secret  = is_string( $sent['secret'] ?? null ) ? trim( $sent['secret'] ) : '';
		if ( '' !== $address && '' === Settings::clean_address( $address ) ) {
			add_settings_error( self::PAGE, 'address', __( 'The bridge\'s address was not saved: it begins with https:// and has no question mark.', 'academy-bridge' ) );
			$address = $stored['address'] ?? '';
		}
		if ( '' !== $secret && ! Settings::is_secret( $secret ) ) {
			add_settings_error( self::PAGE, 'secret', __( 'The secret was not saved: it has at least 32 characters of A-Z, a-z, 0-9, _ and -.', 'academy-bridge' ) );
			$secret = '';
		}
		$places = array();
		foreach ( Settings::PLACES as $place ) {
			$places[ $place ] = empty( $sent['places'][ $place ] ) ? 0 : 1;
		}
		return array(
			'address'     => Settings::clean_address( (string) $address ),
			'secret'      => '' !== $secret ? $secret : (string) ( $stored['secret'] ?? '' ),
			'places'      => $places,
			'every_order' => empty( $sent['every_order'] ) ? 0 : 1,
		);
	}

	/**
	 * The page.
	 */
	public static function show(): void {
		if ( ! current_user_can( self::CAPABILITY ) ) {
			return;
		}
		echo '<div class="wrap"><h1>Academy Bridge</h1>';
		if ( class_exists( 'WooCommerce' ) ) {
			settings_errors( self::PAGE ); // Pages below "Settings" show them by themselves.
		}
		self::show_result();
		echo '<form method="post" action="options.php">';
		settings_fields( self::PAGE );
		echo '<table class="form-table" role="presentation"><tbody>';
		self::row( __( 'Address of the bridge', 'academy-bridge' ), self::address_input(), __( 'As the bridge has it under server.public_url. With https, unless the bridge runs on this very machine.', 'academy-bridge' ) );
		self::row( __( 'Secret', 'academy-bridge' ), self::secret_input(), __( 'The same as in the bridge\'s settings. It is never shown; leave the field empty to keep it.', 'academy-bridge' ) );
		self::row( __( 'Where it shows', 'academy-bridge' ), self::places_input(), '' );
		self::row( __( 'Orders', 'academy-bridge' ), self::checkbox( 'every_order', Settings::on_every_order(), __( 'Show the button on every paid order', 'academy-bridge' ) ), __( 'For shops whose offers stand in the bridge\'s file: this shop can\'t tell then which products are courses.', 'academy-bridge' ) );
		echo '</tbody></table>';
		submit_button();
		echo '</form><h2>' . esc_html__( 'Connection', 'academy-bridge' ) . '</h2><form method="post" action="' . esc_url( admin_url( 'admin-post.php' ) ) . '">';
		echo '<input type="hidden" name="action" value="' . esc_attr( self::TEST ) . '">';
		wp_nonce_field( self::TEST );
		echo '<p>' . esc_html__( 'Asks the bridge a signed question with the saved settings, and says what came back.', 'academy-bridge' ) . '</p>';
		submit_button( __( 'Test connection', 'academy-bridge' ), 'secondary', 'submit', true, array( 'id' => 'academy-bridge-test' ) );
		echo '</form></div>';
	}

	/**
	 * Try the connection, and go back to the page with the result.
	 */
	public static function test(): void {
		if ( ! current_user_can( self::CAPABILITY ) ) {
			wp_die( esc_html__( 'You may not do this.', 'academy-bridge' ), '', array( 'response' => 403 ) );
		}
		check_admin_referer( self::TEST );
		set_transient( self::TEST . '_' . get_current_user_id(), self::try_connection(), 5 * MINUTE_IN_SECONDS );
		wp_safe_redirect( add_query_arg( 'tested', '1', self::url() ) );
		exit;
	}

	/**
	 * Ask for the bridge's status.
	 *
	 * @return array{ok:bool,text:string}
	 */
	private static function try_connection(): array {
		if ( ! Settings::ready() ) {
			return self::result( false, __( 'Nothing was sent: address or secret are not set.', 'academy-bridge' ) );
		}
		$begun  = microtime( true );
		$answer = Bridge::ask( '/api/v1/status', 0, 10 );
		if ( is_wp_error( $answer ) ) {
			/* translators: %s: an error in English. */
			return self::result( false, sprintf( __( 'The bridge could not be reached: %s', 'academy-bridge' ), $answer->get_error_message() ) );
		}
		$took = (int) round( ( microtime( true ) - $begun ) * 1000 );
		return self::judge( (int) wp_remote_retrieve_response_code( $answer ), Bridge::json( $answer ), $answer, $took );
	}

	/**
	 * What an answer means.
	 *
	 * @param int                      $status HTTP's.
	 * @param array<string,mixed>|null $json   Its JSON object, if it is one.
	 * @param array<string,mixed>      $answer The answer.
	 * @param int                      $took   Milliseconds.
	 * @return array{ok:bool,text:string}
	 */
	private static function judge( int $status, ?array $json, array $answer, int $took ): array {
		if ( 200 === $status && true === ( $json['ok'] ?? null ) && is_string( $json['bridge'] ?? null ) ) {
			/* translators: 1: a version, 2: milliseconds. */
			return self::result( true, sprintf( __( 'Connected: the bridge, version %1$s, knows this shop and its secret. It answered in %2$d ms.', 'academy-bridge' ), $json['bridge'], $took ) );
		}
		if ( 401 === $status || 403 === $status ) {
			/* translators: %d: HTTP's status. */
			$text = sprintf( __( 'The bridge is there and refused the signature (%d). Either the secret is another one there, or its settings name another address of this shop or of the bridge.', 'academy-bridge' ), $status );
			/* translators: 1, 2: addresses. */
			$text .= ' ' . sprintf( __( 'This shop signs as %1$s for %2$s.', 'academy-bridge' ), Settings::issuer(), Settings::address() ) . self::clock( $answer );
			return self::result( false, $text );
		}
		if ( $status >= 300 && $status < 400 ) {
			/* translators: %d: HTTP's status. */
			return self::result( false, sprintf( __( 'The address leads elsewhere (%d): set the address that the bridge has itself.', 'academy-bridge' ), $status ) );
		}
		$said = is_string( $json['error']['message'] ?? null ) ? $json['error']['message'] : wp_strip_all_tags( wp_remote_retrieve_body( $answer ) );
		/* translators: 1: HTTP's status, 2: the beginning of the answer. */
		return self::result( false, sprintf( __( 'Something answered with %1$d, and it is not what the bridge would say: %2$s', 'academy-bridge' ), $status, mb_substr( trim( $said ), 0, 200 ) ) );
	}

	/**
	 * A sentence about clocks that differ, by the answer's date; or "".
	 *
	 * @param array<string,mixed> $answer The answer.
	 */
	private static function clock( array $answer ): string {
		$date  = wp_remote_retrieve_header( $answer, 'date' );
		$apart = is_string( $date ) && strtotime( $date ) ? abs( time() - strtotime( $date ) ) : 0;
		/* translators: %d: seconds. */
		return $apart > 5 ? ' ' . sprintf( __( 'The clocks of shop and bridge are %d seconds apart: set them right first.', 'academy-bridge' ), $apart ) : '';
	}

	/**
	 * A result.
	 *
	 * @param bool   $ok   Whether it is good.
	 * @param string $text What to say.
	 * @return array{ok:bool,text:string}
	 */
	private static function result( bool $ok, string $text ): array {
		return array(
			'ok'   => $ok,
			'text' => $text,
		);
	}

	/**
	 * The result of the test just made, once.
	 */
	private static function show_result(): void {
		$key    = self::TEST . '_' . get_current_user_id();
		$result = get_transient( $key );
		if ( is_array( $result ) ) {
			delete_transient( $key );
			echo '<div class="notice ' . ( $result['ok'] ? 'notice-success' : 'notice-error' ) . '" id="academy-bridge-result"><p>' . esc_html( $result['text'] ) . '</p></div>';
		}
	}

	/**
	 * The page's address.
	 */
	private static function url(): string {
		return admin_url( ( class_exists( 'WooCommerce' ) ? 'admin.php' : 'options-general.php' ) . '?page=' . self::PAGE );
	}

	/**
	 * A row of the form.
	 *
	 * @param string $label What it is.
	 * @param string $input HTML, escaped.
	 * @param string $help  More about it.
	 */
	private static function row( string $label, string $input, string $help ): void {
		echo '<tr><th scope="row">' . esc_html( $label ) . '</th><td>' . $input; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped where it was made.
		echo '' !== $help ? '<p class="description">' . esc_html( $help ) . '</p></td></tr>' : '</td></tr>';
	}

	/**
	 * The address's field.
	 */
	private static function address_input(): string {
		if ( defined( 'ACADEMY_BRIDGE_ADDRESS' ) ) {
			return '<code>' . esc_html( Settings::address() ) . '</code> ' . esc_html__( '(set in wp-config.php)', 'academy-bridge' );
		}
		return '<input type="url" class="regular-text" name="academy_bridge[address]" value="' . esc_attr( Settings::address() ) . '" placeholder="https://bridge.example.org" aria-label="' . esc_attr__( 'Address of the bridge', 'academy-bridge' ) . '">';
	}

	/**
	 * The secret's field, which never holds it.
	 */
	private static function secret_input(): string {
		if ( defined( 'ACADEMY_BRIDGE_SECRET' ) ) {
			return esc_html( '' !== Settings::secret() ? __( '(set in wp-config.php)', 'academy-bridge' ) : __( '(set in wp-config.php, and not right: at least 32 characters of A-Z, a-z, 0-9, _ and -)', 'academy-bridge' ) );
		}
		$there = '' !== Settings::secret() ? __( 'A secret is set', 'academy-bridge' ) : __( 'No secret is set yet', 'academy-bridge' );
		return '<input type="password" class="regular-text" name="academy_bridge[secret]" value="" autocomplete="new-password" placeholder="' . esc_attr( $there ) . '" aria-label="' . esc_attr__( 'Secret', 'academy-bridge' ) . '">';
	}

	/**
	 * The places' boxes.
	 */
	private static function places_input(): string {
		$labels = array(
			'thankyou' => __( '"Start learning" on the thank-you page', 'academy-bridge' ),
			'order'    => __( '"Start learning" in the account\'s view of an order', 'academy-bridge' ),
			'mails'    => __( '"Start learning" in mails about paid orders', 'academy-bridge' ),
			'courses'  => __( '"My courses" in the account', 'academy-bridge' ),
			'gives'    => __( 'What it gives, on the product\'s page', 'academy-bridge' ),
			'choice'   => __( '"For myself, for my team, as a gift" where a product asks', 'academy-bridge' ),
			'poke'     => __( 'Tell the bridge at once when an order changes', 'academy-bridge' ),
		);
		$html   = '<fieldset><legend class="screen-reader-text">' . esc_html__( 'Where it shows', 'academy-bridge' ) . '</legend>';
		foreach ( $labels as $place => $label ) {
			$html .= self::checkbox( 'places][' . $place, Settings::is_on( $place ), $label ) . '<br>';
		}
		return $html . '</fieldset>';
	}

	/**
	 * A box to tick.
	 *
	 * @param string $name    Inside the option.
	 * @param bool   $checked Whether it is ticked.
	 * @param string $label   What it does.
	 */
	private static function checkbox( string $name, bool $checked, string $label ): string {
		return '<label><input type="checkbox" name="academy_bridge[' . esc_attr( $name ) . ']" value="1"' . checked( $checked, true, false ) . '> ' . esc_html( $label ) . '</label>';
	}
}
