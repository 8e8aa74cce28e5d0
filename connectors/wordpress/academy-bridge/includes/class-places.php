<?php
/**
 * The button, and where it stands.
 *
 * @package Academy_Bridge
 */

namespace Academy_Bridge;

use WC_Order;

defined( 'ABSPATH' ) || exit;

/**
 * "Start learning" on the thank-you page, in the order's view and in mails; the shortcode and the block.
 */
final class Places {

	/**
	 * The bridge's page on which one asks for a link.
	 */
	const BY_MAIL = '/sso/link';

	/**
	 * Hook in.
	 */
	public static function register(): void {
		add_action( 'woocommerce_thankyou', array( self::class, 'thankyou' ), 5 );
		add_action( 'woocommerce_view_order', array( self::class, 'order_view' ), 5 );
		add_action( 'woocommerce_email_after_order_table', array( self::class, 'mail' ), 10, 3 );
		add_action( 'init', array( self::class, 'register_button' ) );
	}

	/**
	 * On the thank-you page.
	 *
	 * @param int $order_id The order.
	 */
	public static function thankyou( $order_id ): void {
		self::below_order( 'thankyou', (int) $order_id );
	}

	/**
	 * In the account's view of an order.
	 *
	 * @param int $order_id The order.
	 */
	public static function order_view( $order_id ): void {
		self::below_order( 'order', (int) $order_id );
	}

	/**
	 * In the customer's mails of an order that is paid. Links lead to the launch address, or to the bridge's page for
	 * guests: a mail holds no token.
	 *
	 * @param WC_Order $order         The order.
	 * @param bool     $sent_to_admin Whether staff get this mail.
	 * @param bool     $plain_text    Whether it is plain text.
	 */
	public static function mail( $order, $sent_to_admin = false, $plain_text = false ): void {
		if ( $sent_to_admin || ! $order instanceof WC_Order || ! Settings::shows( 'mails' ) || ! $order->is_paid() ) {
			return;
		}
		foreach ( self::ways( $order ) as $way ) {
			if ( $plain_text ) {
				echo "\n" . esc_html( $way['label'] ) . ":\n" . esc_url_raw( $way['url'] ) . "\n\n"; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Plain text.
			} else {
				echo '<p style="margin:16px 0"><a href="' . esc_url( $way['url'] ) . '" style="display:inline-block;padding:10px 18px;background:#1d4f91;color:#ffffff;text-decoration:none;border-radius:4px">' . esc_html( $way['label'] ) . '</a></p>';
			}
		}
	}

	/**
	 * The shortcode and the block: both are one button. And the style, for every place.
	 */
	public static function register_button(): void {
		wp_register_style( 'academy-bridge', plugins_url( 'assets/style.css', PLUGIN_FILE ), array(), VERSION );
		add_shortcode( 'academy_bridge_button', array( self::class, 'button' ) );
		wp_register_script( 'academy-bridge-block', plugins_url( 'assets/block.js', PLUGIN_FILE ), array( 'wp-blocks', 'wp-element', 'wp-block-editor', 'wp-components' ), VERSION, true );
		$texts = array(
			'title'  => __( 'Start learning', 'academy-bridge' ),
			'about'  => __( 'A button that takes customers into the learning site, signed in.', 'academy-bridge' ),
			'target' => __( 'Leads to', 'academy-bridge' ),
			'help'   => __( 'courses, home, team, course:12 or program:7', 'academy-bridge' ),
			'label'  => __( 'Text', 'academy-bridge' ),
		);
		wp_add_inline_script( 'academy-bridge-block', 'window.academyBridgeTexts = ' . wp_json_encode( $texts, JSON_HEX_TAG ) . ';', 'before' );
		register_block_type( dirname( PLUGIN_FILE ) . '/assets/block.json', array( 'render_callback' => array( self::class, 'button' ) ) );
	}

	/**
	 * The button's HTML; nothing for a target that is none, and nothing while the plugin is not set up.
	 *
	 * @param array<string,mixed>|string $attributes "target" and "label".
	 */
	public static function button( $attributes ): string {
		$attributes = is_array( $attributes ) ? $attributes : array();
		$target     = (string) ( $attributes['target'] ?? '' );
		$label      = trim( (string) ( $attributes['label'] ?? '' ) );
		$target     = '' !== $target ? $target : 'courses';
		if ( ! Settings::ready() || ! Target::is_valid( $target ) ) {
			return '';
		}
		return '<p class="academy-bridge">' . self::link( Launch::url( $target ), '' !== $label ? $label : __( 'Start learning', 'academy-bridge' ) ) . '</p>';
	}

	/**
	 * A link that looks like the theme's buttons. Where it leads is not told the page's address: that of a guest's order
	 * holds its key.
	 *
	 * @param string $url   Where to.
	 * @param string $label What it says.
	 */
	public static function link( string $url, string $label ): string {
		return '<a class="button wp-element-button academy-bridge-button" rel="nofollow noreferrer" href="' . esc_url( $url ) . '">' . esc_html( $label ) . '</a>';
	}

	/**
	 * What stands below an order on a page: only for the customer whose order it is, or for whoever sees a guest's.
	 *
	 * @param string $place    "thankyou" or "order".
	 * @param int    $order_id The order.
	 */
	private static function below_order( string $place, int $order_id ): void {
		$order = Settings::shows( $place ) ? wc_get_order( $order_id ) : false;
		if ( ! $order instanceof WC_Order || $order->get_customer_id() !== get_current_user_id() ) {
			return;
		}
		if ( ! $order->is_paid() ) {
			if ( $order->has_status( array( 'on-hold', 'pending' ) ) && Product::for_whom( $order ) ) {
				echo '<p class="academy-bridge">' . esc_html__( 'You can start learning as soon as we have your payment.', 'academy-bridge' ) . '</p>';
			}
			return;
		}
		$links = array();
		foreach ( self::ways( $order ) as $way ) {
			$links[] = self::link( $way['url'], $way['label'] );
		}
		if ( $links ) {
			wp_enqueue_style( 'academy-bridge' );
			echo '<p class="academy-bridge">' . implode( ' ', $links ) . '</p>'; // phpcs:ignore WordPress.Security.EscapeOutput.OutputNotEscaped -- Escaped by link().
		}
	}

	/**
	 * Where an order's buyer can go. Guests have no account here by which they could be signed in: the bridge mails them
	 * a link, on a page that asks for the address. Theirs is not told to it here, for the page of an order is seen by
	 * whoever has its link.
	 *
	 * @param WC_Order $order A paid order.
	 * @return array<int,array{url:string,label:string}>
	 */
	private static function ways( WC_Order $order ): array {
		$whom  = Product::for_whom( $order );
		$guest = ! $order->get_customer_id();
		$mail  = Settings::address() . self::BY_MAIL;
		$ways  = array();
		if ( isset( $whom['me'] ) ) {
			$ways[] = array(
				'url'   => $guest ? $mail : Launch::url( 'order:' . $order->get_id() ),
				'label' => $guest ? __( 'Get a link by mail to start learning', 'academy-bridge' ) : __( 'Start learning', 'academy-bridge' ),
			);
		}
		if ( isset( $whom['team'] ) && ! ( $guest && $ways ) ) {
			$ways[] = array(
				'url'   => $guest ? $mail : Launch::url( 'team' ),
				'label' => __( 'Give places to your team', 'academy-bridge' ),
			);
		}
		return $ways;
	}
}
